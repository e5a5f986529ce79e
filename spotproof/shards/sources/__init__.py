"""Where records come from: objects in S3, lines, Parquet row groups."""
