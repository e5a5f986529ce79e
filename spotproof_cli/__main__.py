"""`python -m spotproof_cli` is the `spotproof` command."""

from spotproof_cli.main import main

if __name__ == "__main__":
    main()
