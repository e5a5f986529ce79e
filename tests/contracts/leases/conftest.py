"""The suite's fixtures for this folder; tests/local runs the same claims with its own backend."""

from tests.contracts.leases.fixtures import backend, clock, moto_client, run, session, store

__all__ = ["backend", "clock", "moto_client", "run", "session", "store"]
