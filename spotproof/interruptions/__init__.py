"""How a worker learns that its host, or its run, is about to end."""
