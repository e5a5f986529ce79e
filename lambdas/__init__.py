"""One module per event: parse, one call, log."""
