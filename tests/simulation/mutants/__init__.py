"""Planted protocol bugs: each patch breaks one promise, and the simulation must find out which."""
