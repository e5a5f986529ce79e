"""Which pages of an image may have changed since its shadow was taken."""
