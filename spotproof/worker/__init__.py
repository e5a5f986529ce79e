"""The worker: lease, restore, run, checkpoint, commit."""
