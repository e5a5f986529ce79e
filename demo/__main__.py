"""`python -m demo`: what `make demo` runs."""

from demo.main import main
from spotproof.process import leave

if __name__ == "__main__":
    leave(main())
