"""Game days: an experiment on a run, and whether the run kept its promise."""
