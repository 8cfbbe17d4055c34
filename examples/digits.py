"""A real sweep in two minutes: small networks on scikit-learn's 1,797 handwritten digits, 24 trials.

`lightning-tune demo` runs this file; `examples/digits.py` is the same, to read and to change. Kill it at any
moment and run it again: the sweep goes on where it was.
"""

import argparse
import sys
import time
from collections.abc import Sequence

import lightning as L
import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from lightning_tune import Choice, Float, Int, Result, TuneLoop
from lightning_tune._imports import require


class DigitsData(L.LightningDataModule):
    """8x8 images of 10 classes, always split the same: 1,077 to train on, 360 to validate, 360 to test."""

    def __init__(self, batch_size: int = 64) -> None:
        super().__init__()
        self.batch_size = batch_size

    def setup(self, stage: str) -> None:
        """Read the images and split them."""
        digits = require("sklearn.datasets", "examples", "the digits demo").load_digits()
        images = torch.tensor(digits.images / 16, dtype=torch.float32).unsqueeze(1)  # (image, 1, 8, 8)
        labels = torch.tensor(digits.target)
        parts = np.split(np.random.default_rng(0).permutation(len(labels)), [1077, 1437])
        self.train, self.val, self.test = (TensorDataset(images[part], labels[part]) for part in parts)

    def train_dataloader(self) -> DataLoader[tuple[Tensor, ...]]:
        """Shuffled anew every epoch."""
        return DataLoader(self.train, self.batch_size, shuffle=True)

    def val_dataloader(self) -> DataLoader[tuple[Tensor, ...]]:
        """What the search sees."""
        return DataLoader(self.val, 360)

    def test_dataloader(self) -> DataLoader[tuple[Tensor, ...]]:
        """What only the best trial sees, once."""
        return DataLoader(self.test, 360)


class LitDigits(L.LightningModule):
    """An MLP, or a CNN with one convolution before it, trained with SGD or Adam."""

    def __init__(
        self,
        net: str = "mlp",
        width: int = 64,
        channels: int = 16,
        dropout: float = 0.0,
        optimizer: str = "adam",
        lr: float = 1e-3,
        momentum: float = 0.9,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        pixels = channels * 16 if net == "cnn" else 64
        front = [nn.Conv2d(1, channels, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)] if net == "cnn" else []
        back = [nn.Flatten(), nn.Linear(pixels, width), nn.ReLU(), nn.Dropout(dropout), nn.Linear(width, 10)]
        self.net = nn.Sequential(*front, *back)

    def training_step(self, batch: tuple[Tensor, Tensor], index: int) -> Tensor:
        """Return the loss of a batch."""
        images, labels = batch
        return nn.functional.cross_entropy(self.net(images), labels)

    def validation_step(self, batch: tuple[Tensor, Tensor], index: int) -> None:
        """Log what the search maximises."""
        self.log("val_acc", self.accuracy(batch))

    def test_step(self, batch: tuple[Tensor, Tensor], index: int) -> None:
        """Log the accuracy on images that no trial saw."""
        self.log("test_acc", self.accuracy(batch))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Make the optimizer that the configuration names."""
        if self.hparams["optimizer"] == "sgd":
            return torch.optim.SGD(self.parameters(), self.hparams["lr"], self.hparams["momentum"])
        return torch.optim.Adam(self.parameters(), self.hparams["lr"])

    @torch.no_grad()
    def accuracy(self, batch: tuple[Tensor, Tensor]) -> Tensor:
        """Return the share of digits that are read correctly."""
        images, labels = batch
        correct: Tensor = self.net(images).argmax(1) == labels
        return correct.float().mean()


SPACE = {
    "net": Choice({"mlp": {}, "cnn": {"channels": Int(8, 32, log=True)}}),  # only a CNN has channels
    "width": Int(32, 256, log=True),
    "dropout": Float(0, 0.5),
    "optimizer": Choice(
        {
            "adam": {"lr": Float(1e-4, 1e-1, log=True)},
            "sgd": {"lr": Float(1e-3, 1, log=True), "momentum": Float(0, 0.99)},
        }
    ),
    "data.batch_size": Choice([32, 64, 128], ordered=True),
}


def main(argv: Sequence[str] | None = None) -> None:
    """Run the sweep (or go on with it) and tell what it found."""
    command = "lightning-tune demo" if __name__ == "lightning_tune.demo" else f"python {sys.argv[0]}"
    parser = argparse.ArgumentParser(command, description=__doc__)
    parser.add_argument("--root-dir", default="sweeps", help="the folder to write to (%(default)s)")
    parser.add_argument("--name", default="digits", help="the sweep's name (%(default)s)")
    parser.add_argument("--trials", type=int, default=24, help="configurations in all (%(default)s)")
    parser.add_argument("--epochs", type=int, default=20, help="epochs a trial (%(default)s)")
    parser.add_argument(
        "--overwrite", action="store_true", help="delete the sweep of that name and start anew"
    )
    args = parser.parse_args(argv)
    require("sklearn.datasets", "examples", "the digits demo")
    began = time.time()
    loop = TuneLoop(
        SPACE,
        monitor="val_acc",
        mode="max",
        max_trials=args.trials,
        trainer={"max_epochs": args.epochs},
        logger="csv",
        root_dir=args.root_dir,
        name=args.name,
        checkpoint_every_s=5,
        overwrite=args.overwrite,
    )
    result = loop.fit(LitDigits, datamodule=DigitsData)
    tell(result, began, command)


def tell(result: Result, began: float, command: str) -> None:
    """Print the best five, the accuracy of the best on images it never saw, and where everything is."""
    best = result.best
    if best is None or best.checkpoint is None:
        print(f"No trial has a score yet ({result.reason}). Go on with: {command}")
        return
    if all(trial.ended is not None and trial.ended < began for trial in result.history):
        print(
            f"This sweep had finished before, so nothing was trained. Start anew with: {command} --overwrite"
        )
    print(f"\nThe best five of {len(result.trials)} trials\n  trial  val_acc  epoch  configuration")
    for trial in result.top(5):
        config = result.space.describe(trial.config)
        print(f"  {trial.number:>5}  {trial.score:7.4f}  {trial.best_epoch:5g}  {config}")
    data = DigitsData()
    data.setup("test")
    module = best.load(LitDigits)
    val_acc, test_acc = (module.accuracy(part[:]).item() for part in (data.val, data.test))
    print(
        f"\nTrial {best.number} is the best: validation accuracy {val_acc:.4f}, test accuracy {test_acc:.4f}."
    )
    print(f"Saved in {result.folder}: every trial in sweep.db, its logs under trials/.")
    print(f"Best checkpoint: {best.checkpoint}")
    print(f"Next, see that trial: lightning-tune show {result.folder} {best.number}")


if __name__ == "__main__":
    main()
