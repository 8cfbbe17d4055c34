"""A sweep in a process of its own, for tests that kill it.

`python sweep_script.py ROOT NAME EVERY_S [EPOCHS]`.

Prints a line an epoch, so that a test knows when to strike.
"""

import os
import sys
import time

import lightning.pytorch as pl

from lightning_tune import Float, Int, TuneLoop
from lightning_tune.testing.models import tiny_data, tiny_module


class Tick(pl.Callback):
    """Slows training down a little and says where it is."""

    def on_train_batch_start(self, trainer, module, batch, index):
        slow_s = float(os.environ.get("SLOW_BATCH_S", "0"))
        if trainer.current_epoch > 0 and slow_s:
            print("slow batch", flush=True)
            time.sleep(slow_s)

    def on_train_epoch_end(self, trainer, module):
        time.sleep(0.01)
        print("epoch", trainer.current_epoch, flush=True)


def main(root, name, every_s, epochs="6"):
    result = TuneLoop(
        {"lr": Float(1e-3, 1e-1, log=True), "width": Int(4, 16), "dropout": Float(0, 0.5)},
        monitor="val_loss",
        max_trials=5,
        trainer={"max_epochs": int(epochs), "accelerator": "cpu", "callbacks": [Tick()]},
        logger="csv",
        root_dir=root,
        name=name,
        checkpoint_every_s=float(every_s),
        keep_checkpoints=2,
    ).fit(tiny_module(pl), datamodule=tiny_data(pl))
    print("ended", result.reason, flush=True)
    print("states", [trial.state for trial in result.trials], flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
