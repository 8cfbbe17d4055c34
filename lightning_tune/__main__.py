"""`python -m lightning_tune` is the command `lightning-tune`."""

import sys

from lightning_tune.cli import main

sys.exit(main())
