"""The deterministic simulator: the product's own code on a virtual clock, with every fault that a seed draws."""
