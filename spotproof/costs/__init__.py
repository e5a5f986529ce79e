"""What a run costs: prices over time, sessions, waste."""
