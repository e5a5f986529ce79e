"""Claims about the repository itself: layers, names, sizes, locks, secrets."""
