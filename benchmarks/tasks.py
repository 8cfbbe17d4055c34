"""The work that `halving.py` measures: three small trainings on real data, and how one does them by hand.

An MLP on handwritten digits (`digits.py`), an MLP on the measurements of breast tumours, and a CNN on the
digits whose epoch takes about a quarter of a second on one thread. Nothing of the loop is imported here.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
from digits import Data, Digits, trainer_arguments
from lightning.pytorch.loggers import CSVLogger
from sklearn.datasets import load_breast_cancer
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from lightning_tune import Choice, Float, Int, RandomSearch, Space
from lightning_tune.core.history import History
from lightning_tune.core.objective import Objective
from lightning_tune.core.rng import generator, trial_seed

MONITOR = "val_loss"
_read: list[TensorDataset] = []  # once a process, as in `digits.py`


class Tumours(L.LightningDataModule):
    """427 tumours to train on, 142 to validate; 30 measurements each, standardised."""

    def setup(self, stage: str) -> None:
        """Read and split the table the first time."""
        if not _read:
            measured, labels = load_breast_cancer(return_X_y=True)
            parts = np.split(np.random.default_rng(0).permutation(len(labels)), [427])
            mean, spread = measured[parts[0]].mean(0), measured[parts[0]].std(0)
            inputs = torch.tensor((measured - mean) / spread, dtype=torch.float32)
            _read.extend(TensorDataset(inputs[part], torch.tensor(labels)[part]) for part in parts)

    def train_dataloader(self) -> DataLoader[tuple[Tensor, ...]]:
        """Return 14 batches, shuffled anew every epoch."""
        return DataLoader(_read[0], 32, shuffle=True)

    def val_dataloader(self) -> DataLoader[tuple[Tensor, ...]]:
        """Return one batch."""
        return DataLoader(_read[1], 142)


class Diagnosis(Digits):
    """The same MLP, from 30 measurements to two diagnoses."""

    def __init__(self, width: int, dropout: float, optimizer: str, lr: float) -> None:
        super().__init__(width, dropout, optimizer, lr)
        self.net = nn.Sequential(nn.Linear(30, width), nn.ReLU(), nn.Dropout(dropout), nn.Linear(width, 2))


class Images(Digits):
    """A CNN on the 8 x 8 images, of one size whatever the configuration, so that all epochs cost the same."""

    def __init__(self, dropout: float, lr: float, optimizer: str = "adam") -> None:
        super().__init__(1, dropout, optimizer, lr)
        self.net = nn.Sequential(
            nn.Unflatten(1, (1, 8, 8)),
            nn.Conv2d(1, 72, 3, padding=1),
            nn.BatchNorm2d(72),
            nn.ReLU(),
            nn.Conv2d(72, 96, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Dropout(dropout),
            nn.Linear(96 * 16, 10),
        )


@dataclass(frozen=True)
class Task:
    """A module, its data, and the space that is searched."""

    name: str
    module: type[L.LightningModule]
    data: type[L.LightningDataModule]
    space: Space

    def configurations(self, seed: int, count: int) -> list[tuple[dict[str, Any], int]]:
        """Return (configuration, seed) of each trial of a random search under a sweep's seed."""
        nothing, search = History(Objective.of(MONITOR, "min")), RandomSearch()
        planned = []
        for number in range(count):
            config = search.suggest(self.space, nothing, generator(seed, "search", number))
            assert isinstance(config, dict), "the space is infinite"
            planned.append((config, trial_seed(seed, number)))
        return planned

    def fit(
        self,
        config: dict[str, Any],
        seed: int,
        epochs: int,
        folder: Path,
        callbacks: list[L.Callback],
        **more: Any,
    ) -> L.Trainer:
        """Train one configuration with a Trainer of its own and a CSV logger, as one does by hand."""
        L.seed_everything(seed, workers=True, verbose=False)
        module, data = self.module(**config), self.data()
        logger = CSVLogger(folder, name="", version="")
        more.setdefault("enable_checkpointing", False)
        trainer = L.Trainer(**trainer_arguments(epochs), logger=logger, callbacks=callbacks, **more)
        trainer.fit(module, datamodule=data)
        return trainer


MLP = Space(
    {
        "width": Int(8, 128, log=True),
        "dropout": Float(0, 0.5),
        "optimizer": Choice(["adam", "sgd"]),
        "lr": Float(1e-4, 0.3, log=True),
    }
)
DIGITS = Task("digits", Digits, Data, MLP)
TUMOURS = Task("breast cancer", Diagnosis, Tumours, MLP)
IMAGES = Task(
    "digits, CNN", Images, Data, Space({"dropout": Float(0, 0.5), "lr": Float(1e-4, 1e-1, log=True)})
)
