"""Who may work on which shard: leases with fencing tokens in one table."""
