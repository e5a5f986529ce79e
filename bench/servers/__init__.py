"""S3-shaped servers to measure against: in memory, shaped like a network, or a real one."""
