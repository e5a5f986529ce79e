"""What the controller does each minute, one concern a module."""
