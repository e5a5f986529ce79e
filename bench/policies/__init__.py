"""Policies between Spot and on-demand, replayed on recorded Spot markets under deadlines."""
