"""Own rules for the synthesized templates: what general tools can't know about this system, as pure functions."""
