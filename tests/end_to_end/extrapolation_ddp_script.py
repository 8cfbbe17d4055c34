"""A fit on two ranks, with the callback that extrapolates learning curves: `STRATEGY STORE OUT`.

The ranks measure different values, so that they would decide differently. Each writes what became of it.
"""

import json
import logging
import os
import sys
import warnings
from pathlib import Path

import lightning.pytorch as pl
import torch
from torch.utils.data import DataLoader, TensorDataset

from lightning_tune import CurveExtrapolationStopping, TuneError


class Ranked(pl.LightningModule):
    """Its accuracy comes to 0.7 on the rank that is given, and to 0.99 on the other."""

    def __init__(self, flat):
        super().__init__()
        self.flat = flat
        self.layer = torch.nn.Linear(1, 1)

    def training_step(self, batch, index):
        return self.layer(batch[0]).square().mean()

    def validation_step(self, batch, index):
        epoch = self.current_epoch + 1
        self.log("val_acc", 0.7 - 0.3 / epoch**2 if self.global_rank == self.flat else 0.99 - 0.5 / epoch)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.1)


class Witness(pl.Callback):
    """Writes down on each rank how the fit went, also where it raised."""

    def __init__(self, path, stopping):
        self.path, self.stopping = path, stopping

    def on_fit_end(self, trainer, module):
        self._write(trainer, "")

    def on_exception(self, trainer, module, exception):
        self._write(trainer, f"{type(exception).__name__}: {exception}")

    def _write(self, trainer, error):
        metrics = {name: value.item() for name, value in trainer.callback_metrics.items() if "tune/" in name}
        found = {
            "epochs": trainer.current_epoch,
            "metrics": metrics,
            "reason": self.stopping.reason,
            "state": self.stopping.state_dict(),
            "error": error,
        }
        Path(f"{self.path}-{trainer.global_rank}").write_text(json.dumps(found))


def fit(strategy, store, out, flat):
    loader = DataLoader(TensorDataset(torch.ones(4, 1)), batch_size=2)
    stopping = CurveExtrapolationStopping(
        "val_acc", mode="max", target=0.8, bounds=(0, 1), patience=2, sweep="ddp", store=store
    )
    trainer = pl.Trainer(
        max_epochs=14,
        accelerator="cpu",
        devices=2,
        strategy=strategy,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[Witness(out, stopping), stopping],
    )
    trainer.fit(Ranked(flat), loader, loader)


def main(strategy, store, out):
    warnings.filterwarnings("ignore")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    fit(strategy, store, f"{out}-good", flat=1)
    fit(strategy, store, f"{out}-bad", flat=0)  # bad where it is decided, good on the other rank
    try:
        fit(strategy, f"{store}/nowhere/sweep.db", f"{out}-broken", flat=0)
    except TuneError as error:
        os.write(1, f"{type(error).__name__}\n".encode())  # whole, beside the other rank's


if __name__ == "__main__":
    main(*sys.argv[1:])
