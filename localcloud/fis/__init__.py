"""The Fault Injection Service, carried out on the simulated fleet."""
