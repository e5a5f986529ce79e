"""AWS as the simulated processes see it."""
