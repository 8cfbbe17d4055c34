"""Steps in every unit, under everything that shifts them: accumulation, validation in the epoch, limits."""

import math

import lightning.pytorch as pl
import pytest
import torch
from torch.utils.data import DataLoader

from lightning_tune.callbacks.leg import Leg
from lightning_tune.callbacks.pause import pause_callback
from lightning_tune.callbacks.progress import Progress
from lightning_tune.callbacks.reporting import reporting_callback
from lightning_tune.core.budget import Budget
from lightning_tune.core.decision import CONTINUE
from lightning_tune.core.objective import Objective
from lightning_tune.errors import ArgumentError
from lightning_tune.testing.models import tiny_loaders, tiny_module

Tiny = tiny_module(pl)
pytestmark = pytest.mark.filterwarnings("ignore")  # Lightning's tips about workers and logging intervals


class Manual(Tiny):
    """Two optimizer steps a batch."""

    def __init__(self):
        super().__init__()
        self.automatic_optimization = False

    def training_step(self, batch, index):
        optimizer = self.optimizers()
        for _ in range(2):
            loss = super().training_step(batch, index)
            optimizer.zero_grad()
            self.manual_backward(loss)
            optimizer.step()


class Recorder:
    def __init__(self):
        self.steps = []

    def report(self, trial, leg, step, values, metrics):
        self.steps.append(step)
        return CONTINUE

    def poll(self, trial):
        return CONTINUE

    def keeps(self, trial):
        return False


def fit(unit, budget=math.inf, model=None, loaders=None, monitor="val_loss", measure=None, **trainer):
    """Train for three epochs of four batches of 16 (64 samples); return the reports' steps and the leg."""
    channel = Recorder()
    leg = Leg(
        trial=0,
        leg=0,
        budget=budget,
        measure=measure or Budget(unit=unit),
        objective=Objective.of(monitor, "min"),
        channel=channel,
        resumed=False,
        save_due=lambda: False,
        accepts=lambda state: True,
        write=lambda kind, step, state: None,
    )
    pl.seed_everything(0, verbose=False)
    built = pl.Trainer(
        **{"max_epochs": 3, **trainer},
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[pause_callback(pl, leg)],
    )
    built.callbacks.append(reporting_callback(pl, leg))
    built.fit(model or Tiny(), *(loaders or tiny_loaders(16)))
    return channel.steps, leg


@pytest.mark.parametrize(
    ("unit", "settings", "steps"),
    [
        ("steps", {}, [4, 8, 12]),
        ("steps", {"accumulate_grad_batches": 2}, [2, 4, 6]),
        ("steps", {"accumulate_grad_batches": 3}, [2, 4, 6]),
        ("steps", {"limit_train_batches": 3}, [3, 6, 9]),
        ("steps", {"limit_train_batches": 0.5, "val_check_interval": 0.5}, [1, 2, 3, 4, 5, 6]),
        ("steps", {"val_check_interval": 2}, [2, 4, 6, 8, 10, 12]),
        ("steps", {"check_val_every_n_epoch": 2, "max_epochs": 4}, [8, 16]),
        ("steps", {"check_val_every_n_epoch": None, "val_check_interval": 5}, [5, 10]),
        ("steps", {"model": Manual}, [8, 16, 24]),
        ("steps", {"monitor": "train_loss"}, [4, 8, 12]),
        ("samples", {}, [64, 128, 192]),
        ("samples", {"accumulate_grad_batches": 3}, [64, 128, 192]),
        ("samples", {"val_check_interval": 0.5}, [32, 64, 96, 128, 160, 192]),
        ("samples", {"limit_train_batches": 3}, [48, 96, 144]),
        ("samples", {"model": Manual}, [64, 128, 192]),
        ("epochs", {"val_check_interval": 0.5}, [0.5, 1, 1.5, 2, 2.5, 3]),
    ],
)
def test_steps_are_counted_in_their_unit(unit, settings, steps):
    model = settings.pop("model", Tiny)()
    assert fit(unit, model=model, **settings)[0] == steps


def test_the_last_batch_may_be_smaller():
    x, y = torch.randn(50, 4), torch.randint(0, 3, (50,))
    train = DataLoader(torch.utils.data.TensorDataset(x, y), batch_size=16)
    assert fit("samples", loaders=(train, tiny_loaders()[1]))[0] == [50, 100, 150]


def test_validations_without_an_optimizer_step_between_them_have_rising_steps():
    steps, _ = fit("steps", accumulate_grad_batches=4, val_check_interval=1, max_epochs=2)
    assert [round(step, 6) for step in steps] == [0, 0, 0, 1, 1, 1, 1, 2]
    assert all(before < after for before, after in zip(steps, steps[1:], strict=False))
    assert (steps[3], steps[7]) == (1.0, 2.0)


def test_seconds_rise_and_are_those_of_training_alone():
    steps, leg = fit("seconds", val_check_interval=0.5)
    assert 0 < steps[0] < steps[-1] < leg.progress.seconds < 5
    assert len(steps) == 6


def test_a_budget_ends_the_first_epoch_that_comes_to_it():
    steps, leg = fit("steps", budget=5.0)
    assert (steps, leg.step, leg.ending, leg.reason) == ([4, 8], 8.0, "complete", "reached 5 steps")


def test_where_each_rung_trains_anew_a_step_is_a_part_of_the_budget():
    steps, leg = fit("", budget=0.1, measure=Budget(grows="data", full=1.0), val_check_interval=0.5)
    assert steps == [0.1 * half / 2 / 3 for half in range(1, 6)] + [0.1]
    assert (leg.step, leg.ending) == (0.1, None)


def test_counters_go_on_where_they_were():
    now = [100.0]
    first = Progress(Budget(unit="seconds"), 9.0, clock=lambda: now[0])
    first.begin()
    now[0] += 3
    assert first.report(None, 1.0) == 3.0
    second = Progress(Budget(unit="seconds"), 9.0, clock=lambda: now[0])
    second.load(first.state())
    now[0] += 1000  # a pause
    assert (second.seconds, second.began) == (3.0, False)
    second.begin()
    assert second.report(None, 1.0) == math.nextafter(3.0, math.inf)
    now[0] += 2
    assert second.report(None, 2.0) == 5.0


def test_batches_without_a_size_are_refused_when_samples_are_counted():
    class Words(Tiny):
        def training_step(self, batch, index):
            return self.net(torch.randn(4, 4)).sum()

    train = DataLoader(["a", "b", "c"], batch_size=None)
    loaders = (train, tiny_loaders()[1])
    assert fit("steps", loaders=loaders, model=Words())[0] == [3, 6, 9]
    with pytest.raises(
        ArgumentError, match="`budget_unit='samples'` needs batches that hold tensors.* got str"
    ):
        fit("samples", loaders=loaders, model=Words())
