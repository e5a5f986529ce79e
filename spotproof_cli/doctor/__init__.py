"""Checks of a deployment from where the command runs: what is wrong, and how it is mended."""
