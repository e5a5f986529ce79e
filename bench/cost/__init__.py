"""Whether the cost is right: timelines worked out by hand, and random ones against a clock that ticks."""
