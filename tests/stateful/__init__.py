"""State machines: random histories of leases, plans, checkpoints and ledgers beside plain models of them."""
