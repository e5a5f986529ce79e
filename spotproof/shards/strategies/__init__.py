"""Ways to cut an input into shards, one module each."""
