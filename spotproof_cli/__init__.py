"""The `spotproof` command: plain Batch and the run's table, with comfort."""
