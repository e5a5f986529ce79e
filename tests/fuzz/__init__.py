"""Fuzzing of everything that reads what others wrote: bad input is refused in one clear line, or understood."""
