"""Virtual time and simulated processes: synchronous code on greenlets, one event at a time."""
