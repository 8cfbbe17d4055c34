"""A module that trains in milliseconds, for either package, and a trial's info."""

from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch.utils.data import DataLoader, TensorDataset

from lightning_tune.core.outcome import Outcome, TrialInfo


def info(folder: Path, number: int = 0, **changes: Any) -> TrialInfo:
    config = changes.pop("config", {"lr": 0.1 / (number + 1), "optimizer": "sgd", "data.batch_size": 4})
    trial = folder / "trials" / str(number)
    return TrialInfo(
        sweep="digits", number=number, group=number, config=config, seed=7, folder=trial, **changes
    )


def done(state: str = "completed", **changes: Any) -> Outcome:
    facts: dict[str, Any] = {"score": 0.5, "step": 2.0, "best_step": 1.0, "reason": "trained 2 epochs"}
    return Outcome(state=state, **(facts | changes))  # type: ignore[arg-type]


def fit(package: ModuleType, loggers: list[Any], epochs: int = 2, **settings: Any) -> Any:
    """Run a real Trainer of two batches an epoch and return it."""

    class Tiny(package.LightningModule):  # type: ignore[name-defined, misc]
        def __init__(self) -> None:
            super().__init__()
            self.layer = torch.nn.Linear(2, 1)

        def training_step(self, batch: Any, index: int) -> Any:
            loss = self.layer(batch[0]).square().mean()
            self.log("train_loss", loss)
            return loss

        def validation_step(self, batch: Any, index: int) -> None:
            self.log("val_loss", self.layer(batch[0]).square().mean())

        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), 0.1)

    data = DataLoader(TensorDataset(torch.ones(8, 2)), batch_size=4)
    path = settings.pop("ckpt_path", None)
    trainer = package.Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        logger=loggers,
        log_every_n_steps=1,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        **settings,
    )
    trainer.fit(Tiny(), data, data, ckpt_path=path, weights_only=True if path else None)
    return trainer
