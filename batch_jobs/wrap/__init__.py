"""Any program as a job: its folder is the state, its output folder is the output."""
