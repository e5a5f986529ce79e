"""Unit tests of the local account: its decisions, without a server."""
