"""Behaviour of AWS that the emulator leaves out, registered on it at run time."""
