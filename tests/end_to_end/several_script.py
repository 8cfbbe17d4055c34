"""A sweep of two objectives under Hyperband, for tests that kill it: `python several_script.py ROOT`.

Prints a line an epoch, so that a test knows when to strike.
"""

import sys

import lightning.pytorch as pl

from lightning_tune import Float, Hyperband, Int, TuneLoop
from lightning_tune.testing.models import tiny_data, tiny_module


class Sized(tiny_module(pl)):
    """Logs how many weights it has, beside its loss."""

    def on_validation_epoch_end(self):
        self.log("size", float(sum(weights.numel() for weights in self.parameters())))

    def on_train_epoch_end(self):
        print("epoch", self.current_epoch, flush=True)


def main(root):
    """Run the sweep, or go on with it, and return its result."""
    return TuneLoop(
        {"lr": Float(1e-3, 1e-1, log=True), "width": Int(2, 64, log=True)},
        monitor=["val_loss", "size"],
        mode=["min", "min"],
        search="random",
        schedule=Hyperband(eta=2),
        max_trials=13,
        trainer={"max_epochs": 4, "accelerator": "cpu"},
        logger=False,
        root_dir=root,
        name="s",
        checkpoint_every_s=0,
    ).fit(Sized, datamodule=tiny_data(pl))


if __name__ == "__main__":
    main(sys.argv[1])
