"""A shard's progress, durable: state, manifests, generations, and when a save is worth it."""
