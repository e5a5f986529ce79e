"""An in-memory table that runs the protocol's expressions as DynamoDB does."""
