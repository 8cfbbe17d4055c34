"""One of several processes that share a sweep through the stand-alone callback: `STORE SEED RUNS [EPOCHS]`.

Each run trains one number for a few milliseconds an epoch; its loss falls to a floor that is drawn for it.
"""

import logging
import random
import sys
import warnings

import lightning.pytorch as pl
import torch
from torch.utils.data import DataLoader, TensorDataset

from lightning_tune import SuccessiveHalvingPruner


class Falling(pl.LightningModule):
    def __init__(self, floor, rate):
        super().__init__()
        self.save_hyperparameters()
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def training_step(self, batch, index):
        return (self.weight - 1).square().sum()

    def validation_step(self, batch, index):
        # rounded, so that some runs tie
        self.log("val_loss", round(self.hparams.floor + self.hparams.rate**self.trainer.current_epoch, 1))

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.1)


def main(store, seed, runs, epochs="9"):
    warnings.filterwarnings("ignore")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    rng = random.Random(int(seed))
    loader = DataLoader(TensorDataset(torch.zeros(2, 1)), batch_size=2)
    print("ready", flush=True)
    sys.stdin.readline()  # until the others are ready too
    for _ in range(int(runs)):
        trainer = pl.Trainer(
            max_epochs=int(epochs),
            accelerator="cpu",
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            callbacks=[SuccessiveHalvingPruner("val_loss", sweep="shared", store=store)],
        )
        trainer.fit(Falling(rng.random(), rng.random()), loader, loader)
    print("done", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
