"""Memory that checkpoints are taken of: its pages and blocks, where it comes from, and what changed in it."""
