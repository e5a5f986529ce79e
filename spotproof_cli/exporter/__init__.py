"""What `spotproof exporter` shows to Prometheus: readings of the table, Batch, EC2 and Auto Scaling."""
