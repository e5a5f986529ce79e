"""The worker on a virtual clock whose last save must fit."""
