"""One script for each published claim; results are kept beside them with machine, versions and spread."""
