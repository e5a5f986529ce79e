"""CloudFormation resource types that the emulator lacks, and properties it drops."""
