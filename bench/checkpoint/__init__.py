"""Saves and restores of one array, against boto3's transfers of the same bytes over the same endpoint.

Run: `python -m bench.checkpoint --server null --tracker pagemap` (see `--help`). Claims are in bench/checkpoint/claims.py.
"""
