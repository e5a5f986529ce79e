"""The synthesized app on one machine: embedded AWS APIs, AWS Batch and a Spot fleet of real processes."""
