"""These tests need torch and transformers, which `make test-ml` installs into an environment of their own."""

from importlib.util import find_spec

collect_ignore_glob = [] if find_spec("torch") else ["test_*.py"]

if not collect_ignore_glob:
    import torch

    torch.use_deterministic_algorithms(True)
    torch.set_num_threads(1)
