"""Exactly-once output: staged under the attempt's token, named by the commit, copied to final keys."""
