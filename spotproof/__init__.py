"""Shards, leases and checkpoints that let AWS Batch jobs survive Spot interruptions."""

from spotproof.worker.registry import job

__all__ = ["job"]
