"""Set-up of a working copy: locked packages, Node, the CDK command line."""
