"""`python -m lightning_tune` is the command `lightning-tune`."""

import sys

from lightning_tune.cli import main

if __name__ == "__main__":
    sys.exit(main())
