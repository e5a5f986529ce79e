"""What must hold in a simulated world: one checker per invariant."""
