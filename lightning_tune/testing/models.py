"""Tiny modules and data that train in milliseconds, for tests and for trying things out."""

from types import ModuleType
from typing import Any

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


def blobs(
    count: int = 96, features: int = 4, classes: int = 3, seed: int = 0
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return points around `classes` centres, shape (count, features), and their labels, shape (count,)."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % classes
    centres = torch.randn(classes, features, generator=generator) * 2
    return centres[labels] + torch.randn(count, features, generator=generator), labels


def tiny_module(package: ModuleType) -> Any:
    """Return a LightningModule class of `package`: a two-layer classifier with `lr`, `width` and `dropout`.

    It logs `val_acc` and `val_loss` in validation, and `train_loss` in training.
    """

    class TinyModule(package.LightningModule):  # type: ignore[misc, name-defined]  # the package is chosen at run time
        def __init__(self, lr: float = 0.05, width: int = 8, dropout: float = 0.1) -> None:
            super().__init__()
            self.save_hyperparameters()
            self.lr = lr
            self.net = nn.Sequential(nn.Linear(4, width), nn.ReLU(), nn.Dropout(dropout), nn.Linear(width, 3))

        def training_step(self, batch: Any, index: int) -> torch.Tensor:
            inputs, labels = batch
            loss = nn.functional.cross_entropy(self.net(inputs), labels)
            self.log("train_loss", loss, on_step=False, on_epoch=True)
            return loss

        def validation_step(self, batch: Any, index: int) -> None:
            inputs, labels = batch
            logits = self.net(inputs)
            self.log("val_acc", (logits.argmax(1) == labels).float().mean())
            self.log("val_loss", nn.functional.cross_entropy(logits, labels))

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.SGD(self.parameters(), self.lr, momentum=0.9)

    return TinyModule


def tiny_data(package: ModuleType) -> Any:
    """Return a LightningDataModule class of `package` over `blobs`, with `batch_size`."""

    class TinyData(package.LightningDataModule):  # type: ignore[misc, name-defined]  # chosen at run time
        def __init__(self, batch_size: int = 32) -> None:
            super().__init__()
            self.save_hyperparameters()
            self.batch_size = batch_size

        def train_dataloader(self) -> DataLoader[Any]:
            return tiny_loaders(self.batch_size)[0]

        def val_dataloader(self) -> DataLoader[Any]:
            return tiny_loaders(self.batch_size)[1]

    return TinyData


def tiny_loaders(batch_size: int = 32) -> tuple[DataLoader[Any], DataLoader[Any]]:
    """Return a shuffling loader for training and one for validation over `blobs`."""
    inputs, labels = blobs()
    return (
        DataLoader(TensorDataset(inputs[:64], labels[:64]), batch_size=batch_size, shuffle=True),
        DataLoader(TensorDataset(inputs[64:], labels[64:]), batch_size=32),
    )
