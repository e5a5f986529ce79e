"""Sizes of the next run from the records of earlier ones."""
