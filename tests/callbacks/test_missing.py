"""A monitor without a value is explained where it is first needed: at a pause, or at the end."""

import lightning.pytorch as pl
import pytest

from lightning_tune.callbacks.leg import Leg
from lightning_tune.callbacks.pause import pause_callback
from lightning_tune.callbacks.reporting import reporting_callback
from lightning_tune.core.budget import Budget
from lightning_tune.core.decision import CONTINUE, Decision
from lightning_tune.core.objective import Objective
from lightning_tune.errors import MonitorError
from lightning_tune.testing.models import tiny_loaders, tiny_module

Tiny = tiny_module(pl)
pytestmark = pytest.mark.filterwarnings("ignore")  # Lightning's tips about workers and logging intervals


class OnSteps(Tiny):
    def training_step(self, batch, index):
        loss = super().training_step(batch, index)
        self.log("each", loss, on_step=True, on_epoch=False)
        self.log("both", loss, on_step=True, on_epoch=True)
        return loss


class OnlyTheLast(Tiny):
    def on_train_epoch_end(self):
        if self.current_epoch == self.trainer.max_epochs - 1:
            self.log("final", 1.0)


class Recorder:
    def __init__(self, interrupt=False):
        self.interrupt, self.steps = interrupt, []

    def report(self, trial, leg, step, values, metrics):
        self.steps.append(step)
        return CONTINUE

    def poll(self, trial):
        return Decision(action="pause", reason="Ctrl-C") if self.interrupt else CONTINUE

    def keeps(self, trial):
        return False


def fit(monitor, model=Tiny, budget=1.0, final=False, interrupt=False, measure=None, saves=False, **trainer):
    channel = Recorder(interrupt)
    leg = Leg(
        trial=0,
        leg=0,
        budget=budget,
        measure=measure or Budget(),
        final=final,
        objective=Objective.of(monitor, "min"),
        channel=channel,
        resumed=False,
        save_due=lambda: saves,
        accepts=lambda state: True,
        write=lambda kind, step, state: None,
    )
    built = pl.Trainer(
        **{"max_epochs": 4, **trainer},
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[pause_callback(pl, leg)],
    )
    built.callbacks.append(reporting_callback(pl, leg))
    built.fit(model(), *tiny_loaders(16))
    return channel.steps


@pytest.mark.parametrize("final", [False, True])
def test_validation_that_never_meets_the_first_rung_is_explained_with_what_to_do(final):
    with pytest.raises(
        MonitorError,
        match=r"`monitor='val_loss'` has no value yet at 1 epoch, where trials are compared: validation runs "
        r"every 2 epochs \(`check_val_every_n_epoch=2`\). Make every rung a multiple of 2 \(`min_budget=2`\)",
    ):
        fit("val_loss", check_val_every_n_epoch=2, final=final)


def test_in_other_units_the_epochs_are_named_too():
    with pytest.raises(
        MonitorError, match=r"at 4 steps \(after 1 epoch\), where .* Train longer, or validate every"
    ):
        fit("val_loss", budget=4.0, measure=Budget(unit="steps"), check_val_every_n_epoch=2)


def test_a_rung_between_two_validations_is_fine_once_there_was_one():
    assert fit("val_loss", budget=3.0, check_val_every_n_epoch=2) == [2]


def test_an_interrupt_before_the_first_validation_is_no_mistake():
    assert fit("val_loss", budget=4.0, check_val_every_n_epoch=2, interrupt=True) == []


def test_a_metric_of_single_steps_is_refused_and_one_of_both_kinds_is_read_for_the_epoch():
    with pytest.raises(
        MonitorError,
        match=r"`monitor='each'` is logged on steps only, .*on_epoch=True\)`. Logged for whole epochs are: "
        r"both, both_epoch, train_loss, val_acc, val_loss",
    ):
        fit("each", OnSteps)
    assert fit("both", OnSteps, budget=2.0) == [1, 2]


def test_a_metric_that_comes_at_the_very_end_is_found_at_the_first_pause():
    with pytest.raises(
        MonitorError, match="`monitor='final'` was never logged. Logged are: train_loss, val_acc"
    ):
        fit("final", OnlyTheLast)


def test_where_no_validation_comes_before_the_end_it_is_said_so():
    with pytest.raises(MonitorError, match=r"after 4 epochs: validation runs every 5 epochs"):
        fit("val_loss", budget=float("inf"), check_val_every_n_epoch=5)
    with pytest.raises(
        MonitorError, match=r"`val_check_interval=99` no validation comes before. Validate more"
    ):
        fit("val_loss", check_val_every_n_epoch=None, val_check_interval=99)


def test_a_trial_that_is_saved_after_every_epoch_is_no_exception():
    with pytest.raises(MonitorError, match="`monitor='val_los'` was never logged"):
        fit("val_los", budget=9.0, saves=True)
    assert fit("val_loss", budget=9.0, saves=True, check_val_every_n_epoch=2) == []
