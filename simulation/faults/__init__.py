"""What goes wrong in a simulated world, drawn from its seed and counted."""
