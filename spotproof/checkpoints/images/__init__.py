"""Images: tracked bytes of a shard's state, of which only what changed travels."""
