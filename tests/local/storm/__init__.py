"""A storm over real processes: a seeded plan, the hands that carry it out, the ledger of what happened, the verdict."""
