"""A trial that is paused after every epoch ends bit-identical to one that was trained straight through."""

import copy
import random
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import pytest
import torch
import torchmetrics
from lightning.pytorch.callbacks import EarlyStopping, LearningRateMonitor, StochasticWeightAveraging
from lightning.pytorch.loggers import CSVLogger
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from lightning_tune import Float, Hyperband, TuneLoop
from lightning_tune.callbacks.leg import Leg
from lightning_tune.callbacks.pause import pause_callback
from lightning_tune.callbacks.reporting import reporting_callback
from lightning_tune.core.budget import Budget
from lightning_tune.core.decision import CONTINUE, Decision
from lightning_tune.core.objective import Objective
from lightning_tune.loop.result import Result
from lightning_tune.schedule import FullBudget, Scheduler

EPOCHS = 6
QUIET = {
    "enable_progress_bar": False,
    "enable_model_summary": False,
    "enable_checkpointing": False,
    "logger": False,
    "accelerator": "cpu",
}


class Net(pl.LightningModule):
    """BatchNorm buffers, dropout, torchmetrics, random numbers drawn in hooks, and a private generator."""

    def __init__(
        self, optimizer: str = "adamw", manual: bool = False, norm: bool = True, rate: float = 1.0
    ) -> None:
        super().__init__()
        self.rate = rate
        self.body = nn.Sequential(
            nn.Linear(8, 16),
            nn.BatchNorm1d(16) if norm else nn.Identity(),
            nn.ReLU(),
            nn.Dropout(0.3),
            nn.Linear(16, 3),
        )
        self.accuracy = torchmetrics.Accuracy("multiclass", num_classes=3)
        self.running = torchmetrics.MeanMetric()
        self.noise = torch.Generator().manual_seed(3)
        self.optimizer = optimizer
        self.automatic_optimization = not manual
        self.seen: list[float] = []

    def training_step(self, batch: tuple[torch.Tensor, torch.Tensor], index: int) -> torch.Tensor:
        x, y = batch
        x = (
            x
            + 0.01 * torch.randn(x.shape, generator=self.noise)
            + 0.01 * random.random()
            + 0.01 * np.random.rand()
        )
        loss = nn.functional.cross_entropy(self.body(x), y)
        self.running.update(loss.detach())
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        self.log("forked", loss, on_step=True, on_epoch=True)
        self.seen.append(float(loss.detach()))
        if not self.automatic_optimization:
            optimizer = self.optimizers()
            optimizer.zero_grad()
            self.manual_backward(loss)
            optimizer.step()
        return loss

    def validation_step(self, batch: tuple[torch.Tensor, torch.Tensor], index: int) -> None:
        x, y = batch
        logits = self.body(x)
        self.accuracy(logits, y)
        self.log("val_acc", self.accuracy)
        self.log("val_loss", nn.functional.cross_entropy(logits, y))

    def on_train_epoch_end(self) -> None:
        torch.rand(3)
        self.log("running", self.running.compute())

    def configure_optimizers(self):
        if self.optimizer == "sgd":
            return torch.optim.SGD(self.parameters(), 0.05 * self.rate, momentum=0.9, nesterov=True)
        adamw = torch.optim.AdamW(self.parameters(), 1e-2 * self.rate)
        if self.optimizer == "plateau":
            schedule = torch.optim.lr_scheduler.ReduceLROnPlateau(adamw, patience=0)
            return {"optimizer": adamw, "lr_scheduler": {"scheduler": schedule, "monitor": "val_loss"}}
        steps = int(self.trainer.estimated_stepping_batches)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(adamw, T_max=steps)
        return {"optimizer": adamw, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


class Recorder:
    """A channel that remembers reports, and pauses after every epoch if asked to."""

    def __init__(self, every_epoch: bool) -> None:
        self.every_epoch = every_epoch
        self.reports: list[tuple[float, tuple[float, ...]]] = []

    def report(self, trial, leg, step, values, metrics):
        self.reports.append((step, tuple(values)))
        return CONTINUE

    def poll(self, trial):
        return Decision(action="pause", reason="every epoch") if self.every_epoch else CONTINUE

    def saved(self, *args):
        raise AssertionError("the test writes checkpoints itself")

    def keeps(self, trial):
        return False


def loaders(workers: int, own_generator: bool) -> tuple[DataLoader, DataLoader]:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(96, 8, generator=generator)
    y = (x[:, :3].argmax(1)).long()
    shuffle = torch.Generator().manual_seed(5) if own_generator else None
    train = DataLoader(
        TensorDataset(x[:64], y[:64]), batch_size=16, shuffle=True, num_workers=workers, generator=shuffle
    )
    return train, DataLoader(TensorDataset(x[64:], y[64:]), batch_size=32)


def train(
    folder: Path,
    *,
    pausing: bool,
    monitor: str | list[str] = "val_acc",
    score: Any = "best",
    workers=0,
    own_generator=False,
    net=None,
    **trainer,
):
    """Train to the end, in one go or with a pause after every epoch.

    Return everything that has to be equal.
    """
    pl.seed_everything(11, workers=True, verbose=False)
    channel, path, seen = Recorder(pausing), None, []
    callbacks = trainer.pop("callbacks", [])
    for _ in range(EPOCHS + 1):
        if path is not None:
            pl.seed_everything(
                999, workers=True, verbose=False
            )  # a resumed process begins with other random states
        module = Net(**(net or {}))
        saved: list[Path] = []

        def write(kind, step, state, saved=saved):
            saved.append(folder / f"{kind}-{step:g}.ckpt")
            torch.save(state, saved[-1])
            return saved[-1]

        leg = Leg(
            trial=0,
            leg=0,
            budget=float("inf"),
            objective=Objective.of(monitor, "max", score),
            channel=channel,
            resumed=path is not None,
            save_due=lambda: False,
            accepts=lambda state: True,
            write=write,
        )
        reporting = reporting_callback(pl, leg)
        built = pl.Trainer(
            max_epochs=EPOCHS,
            **{**QUIET, **trainer},
            callbacks=[pause_callback(pl, leg), *copy.deepcopy(callbacks)],
        )
        built.callbacks.append(
            reporting
        )  # as the loop does: a Trainer refuses it with enable_checkpointing=False
        if path is not None:
            built.num_sanity_val_steps = 0
        built.fit(
            module, *loaders(workers, own_generator), ckpt_path=path, weights_only=True if path else None
        )
        seen += module.seen
        path = saved[0] if saved else None
        if path is None:
            break
    return {
        "weights": module.state_dict(),
        "optimizer": [optimizer.state_dict() for optimizer in built.optimizers],
        "schedules": [config.scheduler.state_dict() for config in built.lr_scheduler_configs],
        "losses": seen,
        "reports": channel.reports,
        "best": (reporting.best_cost, reporting.best_step, reporting.best_epoch, reporting.weights),
        "metrics": {name: float(value) for name, value in built.callback_metrics.items()},
    }


def assert_identical(first, second) -> None:
    """Equal to the last bit, through nested dictionaries and lists."""
    assert type(first) is type(second)
    if isinstance(first, dict):
        assert first.keys() == second.keys()
        for key in first:
            assert_identical(first[key], second[key])
    elif isinstance(first, list | tuple):
        assert len(first) == len(second)
        for one, other in zip(first, second, strict=True):
            assert_identical(one, other)
    elif isinstance(first, torch.Tensor):
        assert torch.equal(first, second)
    else:
        assert first == second


CASES = {
    "adamw_cosine": {},
    "sgd_momentum": {"net": {"optimizer": "sgd"}},
    "plateau": {"net": {"optimizer": "plateau"}},
    "loader_workers": {"workers": 2},
    "own_generator": {"own_generator": True},
    "manual_optimization": {"net": {"optimizer": "sgd", "manual": True}},
    "accumulation": {"accumulate_grad_batches": 3},
    "validation_in_the_epoch": {"val_check_interval": 0.5},
    "validation_every_second_epoch": {"check_val_every_n_epoch": 2},
    "min_epochs": {"min_epochs": 5},
    "train_metric": {"monitor": "train_loss"},
    "late_metric": {"monitor": "running"},
    "metric_of_steps_and_epochs": {"monitor": "forked", "val_check_interval": 0.5},
    "metrics_of_training_and_validation": {
        "monitor": ["train_loss", "val_loss"],
        "score": sum,
        "check_val_every_n_epoch": 2,
    },
    "swa": {
        "net": {"optimizer": "sgd", "norm": False},
        "callbacks": [StochasticWeightAveraging(0.01, 3, annealing_epochs=1)],
    },
    "early_stopping": {"callbacks": [EarlyStopping("val_loss", patience=1)]},
    "early_stopping_with_min_epochs": {"min_epochs": 4, "callbacks": [EarlyStopping("val_loss", patience=0)]},
}


@pytest.mark.filterwarnings("ignore")  # Lightning's tips about workers, logging intervals and resuming
@pytest.mark.parametrize("case", CASES)
def test_paused_after_every_epoch_equals_straight(case: str, tmp_path: Path) -> None:
    straight = train(tmp_path, pausing=False, **CASES[case])
    paused = train(tmp_path, pausing=True, **CASES[case])
    assert straight["reports"]
    assert_identical(straight, paused)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
@pytest.mark.parametrize("workers", [0, 2])
def test_paused_at_the_rungs_of_hyperband_equals_straight(
    optimizer: str, workers: int, tmp_path: Path
) -> None:
    """SGD with momentum, or AdamW under a cosine that `max_epochs` sizes; paused after 1, 2 and 4 epochs."""

    def sweep(name: str, schedule: Scheduler) -> Result:
        return TuneLoop(
            {"rate": Float(0.1, 1.0, log=True)},
            search="random",
            monitor="val_acc",
            mode="max",
            schedule=schedule,
            max_trials=8 if workers == 0 else 4,
            keep_checkpoints=8,
            trainer={"max_epochs": 8 if workers == 0 else 4, "accelerator": "cpu"},
            logger=False,
            root_dir=tmp_path,
            name=name,
        ).fit(lambda config: Net(optimizer, rate=config["rate"]), *loaders(workers, False))

    halved, straight = sweep("halved", Hyperband(eta=2)), sweep("straight", FullBudget())
    for trial, whole in zip(halved.trials, straight.trials, strict=True):
        known = [(report.step, report.values, report.metrics) for report in trial.reports]
        assert known == [(r.step, r.values, r.metrics) for r in whole.reports[: len(known)]]
    (winner,) = [trial for trial in halved.trials if trial.state == "completed"]
    assert len({report.leg for report in winner.reports}) == (4 if workers == 0 else 3)
    first, second = (
        torch.load(next((tmp_path / name / "trials" / str(winner.number)).glob("last-*.ckpt")))
        for name in ("halved", "straight")
    )
    assert first.keys() == second.keys()
    for key in ("state_dict", "optimizer_states", "lr_schedulers", "callbacks", "lightning_tune_pause"):
        assert_identical(first[key], second[key])
    assert (first["epoch"], first["global_step"]) == (second["epoch"], second["global_step"])


@pytest.mark.filterwarnings("ignore")
def test_logger_rows_are_the_same(tmp_path: Path) -> None:
    rows = []
    for pausing in (False, True):
        logger = CSVLogger(tmp_path / str(pausing), name="", version="")
        train(
            tmp_path,
            pausing=pausing,
            logger=logger,
            callbacks=[LearningRateMonitor("step")],
            log_every_n_steps=1,
        )
        rows.append((tmp_path / str(pausing) / "metrics.csv").read_text().splitlines())
    assert len(rows[0]) > EPOCHS
    assert rows[0] == rows[1]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("full", "ending", "reason"),
    [(96.0, "pause", "reached 32 samples"), (64.0, "complete", "reached 64 samples")],
)
def test_an_epoch_past_the_rung_and_the_whole_budget_is_told_by_what_it_completes(
    full, ending, reason
) -> None:
    """An epoch of 64 samples, and a rung at 32."""
    leg = Leg(
        trial=0,
        leg=0,
        budget=32.0,
        full_budget=full,
        final=False,
        measure=Budget(unit="samples"),
        objective=Objective.of("val_acc", "max"),
        channel=Recorder(False),
        resumed=False,
        save_due=lambda: False,
        accepts=lambda state: True,
        write=lambda kind, step, state: None,
    )
    built = pl.Trainer(max_epochs=EPOCHS, **QUIET, callbacks=[pause_callback(pl, leg)])
    built.callbacks.append(reporting_callback(pl, leg))
    built.fit(Net(), *loaders(0, False))
    assert (leg.step, leg.ending, leg.reason) == (64.0, ending, reason)


@pytest.mark.filterwarnings("ignore:.*LeafSpec", "ignore:.*bottleneck", "ignore:.*logging interval")
def test_persistent_workers_are_warned_of_when_a_trial_is_saved(tmp_path: Path, monkeypatch) -> None:
    def persistent(workers, own_generator):
        data = TensorDataset(torch.randn(32, 8), torch.randint(0, 3, (32,)))
        return DataLoader(data, batch_size=16, num_workers=1, persistent_workers=True), DataLoader(
            data, batch_size=32
        )

    monkeypatch.setitem(train.__globals__, "loaders", persistent)
    with pytest.warns(UserWarning, match="persistent_workers=True: the random states inside its workers"):
        train(tmp_path, pausing=True, net={"optimizer": "sgd"})
