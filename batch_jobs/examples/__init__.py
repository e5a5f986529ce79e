"""Complete jobs to run and to copy from."""
