"""Training that survives interruptions step for step: a plain PyTorch loop, and the Trainer of Hugging Face."""
