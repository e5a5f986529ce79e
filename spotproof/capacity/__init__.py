"""Decisions about workers: who is replaced, and why one failed."""
