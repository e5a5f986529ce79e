"""What runs in the container: the bootstrap, the worker's entry point and the example jobs."""
