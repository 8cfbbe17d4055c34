"""A fit on two ranks, with the stand-alone callback: `STRATEGY STORE OUT [MONITOR]`.

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

from lightning_tune import SuccessiveHalvingPruner, TuneError


class Ranked(pl.LightningModule):
    def __init__(self, losses):
        super().__init__()
        self.losses = losses
        self.layer = torch.nn.Linear(1, 1)

    def training_step(self, batch, index):
        loss = self.layer(batch[0]).square().mean()
        self.log("train_loss", loss + self.losses[self.global_rank], on_epoch=True)
        return loss

    def validation_step(self, batch, index):
        self.log("val_loss", self.losses[self.global_rank])

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.1)


class Witness(pl.Callback):
    """Writes down on each rank how the fit went, also where it raised."""

    def __init__(self, path):
        self.path = path

    def on_fit_end(self, trainer, module):
        self._write(trainer, "")

    def on_exception(self, trainer, module, exception):
        self._write(trainer, f"{type(exception).__name__}: {exception}")

    def _write(self, trainer, error):
        found = {
            "epochs": trainer.current_epoch,
            "rung": trainer.callback_metrics.get("tune/rung", torch.tensor(-1.0)).item(),
            "error": error,
        }
        Path(f"{self.path}-{trainer.global_rank}").write_text(json.dumps(found))


def fit(strategy, store, out, losses, monitor, raises=False):
    loader = DataLoader(TensorDataset(torch.ones(4, 1)), batch_size=2)
    pruner = SuccessiveHalvingPruner(monitor, sweep="ddp", store=store, raise_on_prune=raises)
    trainer = pl.Trainer(
        max_epochs=4,
        accelerator="cpu",
        devices=2,
        strategy=strategy,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[Witness(out), pruner],
    )
    trainer.fit(Ranked(losses), loader, loader)


def main(strategy, store, out, monitor="val_loss"):
    warnings.filterwarnings("ignore")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    fit(strategy, store, f"{out}-good", [1.0, 5.0], monitor)
    fit(strategy, store, f"{out}-bad", [2.0, 0.0], monitor)  # bad where it is decided, good on the other rank
    if strategy == "ddp":  # where a fit is spawned its errors arrive as torch's own
        for name, place in (("raised", store), ("broken", f"{store}/nowhere/sweep.db")):
            try:
                fit(strategy, place, f"{out}-{name}", [3.0, 0.0], monitor, raises=True)
            except TuneError as error:
                os.write(1, f"{type(error).__name__}\n".encode())  # whole, beside the other rank's


if __name__ == "__main__":
    main(*sys.argv[1:])
