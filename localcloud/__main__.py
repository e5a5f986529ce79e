"""`python -m localcloud`: the same as the console script."""

from localcloud.cli import main

if __name__ == "__main__":
    main()
