"""The work that is measured: an MLP on handwritten digits, about 16 ms an epoch. Imports nothing of ours."""

import logging
import warnings
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
from lightning.pytorch.loggers import CSVLogger
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

_read: list[TensorDataset] = []  # once a process, not once a trial: training is what counts


class Data(L.LightningDataModule):
    """1,347 images to train on, 450 to validate."""

    def setup(self, stage: str) -> None:
        """Read and split the images the first time."""
        if not _read:
            digits = load_digits()
            images, labels = torch.tensor(digits.data / 16, dtype=torch.float32), torch.tensor(digits.target)
            parts = np.split(np.random.default_rng(0).permutation(len(labels)), [1347])
            _read.extend(TensorDataset(images[part], labels[part]) for part in parts)

    def train_dataloader(self) -> DataLoader[tuple[Tensor, ...]]:
        """Return 22 batches, shuffled anew every epoch."""
        return DataLoader(_read[0], 64, shuffle=True)

    def val_dataloader(self) -> DataLoader[tuple[Tensor, ...]]:
        """Return one batch."""
        return DataLoader(_read[1], 450)


class Digits(L.LightningModule):
    """One hidden layer, Adam or SGD; logs a loss that shows every bit that differs."""

    def __init__(self, width: int, dropout: float, optimizer: str, lr: float) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.net = nn.Sequential(nn.Linear(64, width), nn.ReLU(), nn.Dropout(dropout), nn.Linear(width, 10))

    def training_step(self, batch: tuple[Tensor, Tensor], index: int) -> Tensor:
        """Return the loss of a batch."""
        images, labels = batch
        return nn.functional.cross_entropy(self.net(images), labels)

    def validation_step(self, batch: tuple[Tensor, Tensor], index: int) -> None:
        """Log loss and accuracy."""
        images, labels = batch
        scores = self.net(images)
        self.log("val_loss", nn.functional.cross_entropy(scores, labels))
        self.log("val_acc", (scores.argmax(1) == labels).float().mean())

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Make the optimizer that the configuration names."""
        kind = torch.optim.Adam if self.hparams["optimizer"] == "adam" else torch.optim.SGD
        return kind(self.parameters(), lr=self.hparams["lr"])


def trainer_arguments(epochs: int) -> dict[str, Any]:
    """Return what every Trainer gets, whoever builds it."""
    return {
        "max_epochs": epochs,
        "accelerator": "cpu",
        "devices": 1,
        "log_every_n_steps": 10,
        "enable_progress_bar": False,
        "enable_model_summary": False,
    }


def fit(
    config: dict[str, Any], seed: int, epochs: int, folder: Path, callbacks: list[L.Callback], **more: Any
) -> L.Trainer:
    """Train one configuration with a Trainer of its own and a CSV logger, as one does by hand."""
    L.seed_everything(seed, workers=True, verbose=False)
    module, data = Digits(**config), Data()
    logger = CSVLogger(folder, name="", version="")
    more.setdefault("enable_checkpointing", False)
    trainer = L.Trainer(**trainer_arguments(epochs), logger=logger, callbacks=callbacks, **more)
    trainer.fit(module, datamodule=data)
    return trainer


def quiet() -> None:
    """Silence Lightning's banners and tips, on all sides alike, and train on one thread."""
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="lightning")
    torch.set_num_threads(1)
