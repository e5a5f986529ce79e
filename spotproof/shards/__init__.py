"""The parts of an input: planned once, deterministic, total and disjoint."""
