"""Stop the worse runs of a training script of your own, started as often as you like.

Each process draws configurations and trains them with an ordinary Trainer; the callback compares them with
all that any process has trained. Four at once, and what came of it:

    for shell in 1 2 3 4; do python examples/pruner.py & done; wait
    lightning-tune show sweeps/digits-pruner

On a cluster, `sbatch --array=0-15` the same line and set LIGHTNING_TUNE_STORE to a PostgreSQL URL: an SQLite
file is for the processes of one machine.
"""

import argparse
import random

import lightning as L

from lightning_tune import SuccessiveHalvingPruner
from lightning_tune.demo import DigitsData, LitDigits


def draw():
    """Return a configuration."""
    return {
        "width": random.choice([32, 64, 128, 256]),
        "dropout": random.uniform(0, 0.5),
        "lr": 10 ** random.uniform(-4, -1),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=6, help="configurations to train (%(default)s)")
    parser.add_argument(
        "--epochs", type=int, default=27, help="epochs of a run that is never stopped (%(default)s)"
    )
    args = parser.parse_args()
    for _ in range(args.runs):
        trainer = L.Trainer(
            max_epochs=args.epochs,
            accelerator="cpu",
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            callbacks=[SuccessiveHalvingPruner("val_acc", mode="max", sweep="digits-pruner", verbose=True)],
        )
        trainer.fit(LitDigits(**draw()), datamodule=DigitsData())


if __name__ == "__main__":
    main()
