"""The simulated S3 answers as the service: the same requests to it and to moto, and where moto is wrong, why."""
