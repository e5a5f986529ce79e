"""AWS Batch: the API of botocore's model over the fleet."""
