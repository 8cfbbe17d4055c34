"""A monitor without a value is explained where it is first needed: at a pause, or at the end."""

from types import SimpleNamespace

import lightning.pytorch as pl
import pytest

from lightning_tune.callbacks.halving import SuccessiveHalvingPruner
from lightning_tune.callbacks.leg import Leg
from lightning_tune.callbacks.missing import check_validations
from lightning_tune.callbacks.pause import pause_callback
from lightning_tune.callbacks.reporting import reporting_callback
from lightning_tune.core.budget import Budget
from lightning_tune.core.decision import CONTINUE, Decision
from lightning_tune.core.objective import Objective
from lightning_tune.errors import ArgumentError, MonitorError
from lightning_tune.testing.models import tiny_loaders, tiny_module

Tiny = tiny_module(pl)
pytestmark = pytest.mark.filterwarnings("ignore")  # Lightning's tips about workers and logging intervals


class OnSteps(Tiny):
    def training_step(self, batch, index):
        loss = super().training_step(batch, index)
        self.log("each", loss, on_step=True, on_epoch=False)
        self.log("both", loss, on_step=True, on_epoch=True)
        return loss

    def validation_step(self, batch, index):
        super().validation_step(batch, index)
        self.log("val_both", 1.0, on_step=True, on_epoch=True)


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
        r"both, both_epoch, train_loss, val_acc, val_both, val_both_epoch, val_loss\.",
    ):
        fit("each", OnSteps)
    assert fit("both", OnSteps, budget=2.0) == [1, 2]


@pytest.mark.parametrize("monitor", ["both_step", "val_both_step"])
def test_the_steps_of_a_metric_of_both_kinds_are_refused_for_its_epochs(monitor):
    whole = monitor.removesuffix("_step")
    with pytest.raises(
        MonitorError,
        match=rf"'{monitor}'` is logged on steps only, .*: use `monitor='{whole}'`, the value",
    ):
        fit(monitor, OnSteps)
    with pytest.raises(MonitorError, match=f"`monitor='{monitor}'` is logged on steps only"):
        fit(["val_acc", monitor], OnSteps)


@pytest.mark.parametrize("monitor", ["each", "both_step", "val_both_step", "val_los", "nothing"])
def test_both_callbacks_say_the_same(monitor, tmp_path):
    """Of a loss that is logged with Lightning's defaults, too."""
    said = []
    with pytest.raises(MonitorError) as error:
        fit(monitor, OnSteps, budget=float("inf"))
    said.append(str(error.value))
    pruner = SuccessiveHalvingPruner(monitor, sweep="s", store=tmp_path / "s.db")
    with pytest.raises(MonitorError) as error:
        pl.Trainer(
            max_epochs=4,
            accelerator="cpu",
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            callbacks=[pruner],
        ).fit(OnSteps(), *tiny_loaders(16))
    said.append(str(error.value))
    assert said[0] == said[1]


def test_a_module_that_logs_on_steps_alone_is_told_so():
    class Alone(Tiny):
        def training_step(self, batch, index):
            self.log("each", 1.0)
            return self.net(batch[0]).mean()

        def validation_step(self, batch, index):
            pass

    with pytest.raises(MonitorError, match="never logged. Logged on steps only, .* of one batch, are: each"):
        fit("loss", Alone)


def test_a_number_that_was_put_beside_the_logged_ones_is_told_how_to_come_in():
    class Puts(Tiny):
        def on_validation_epoch_end(self):
            self.trainer.callback_metrics["mine"] = 1.0

    with pytest.raises(MonitorError, match=r"in `trainer.callback_metrics`, but .* use `self.log\('mine'"):
        fit("mine", Puts)


def test_before_the_first_validation_of_a_fit_without_a_sanity_check_one_is_awaited():
    trainer = {"check_val_every_n_epoch": 2, "num_sanity_val_steps": 0}
    assert fit("val_loss", budget=float("inf"), **trainer) == [2, 4]
    with pytest.raises(MonitorError, match="has no value yet at 1 epoch, where trials are compared"):
        fit("val_loss", **trainer)


@pytest.mark.parametrize("every", [1, 2, 5, 8, 9, 10, 26])
def test_validations_that_meet_a_rung_are_let_through(every):
    check_validations(SimpleNamespace(check_val_every_n_epoch=every), "val_loss", (1, 3, 9), 27)


@pytest.mark.parametrize(
    ("every", "rungs", "last"), [(27, (1, 3, 9), 27), (40, (1, 3), 9), (5, (6,), 10), (3, (2,), 3)]
)
def test_validations_that_come_too_late_are_refused(every, rungs, last):
    """By brute force: none of the validations before the last epoch is at or past the first rung."""
    assert not [epoch for epoch in range(every, last, every) if epoch >= rungs[0]]
    with pytest.raises(ArgumentError, match=f"`check_val_every_n_epoch={every}` never meets a rung"):
        check_validations(SimpleNamespace(check_val_every_n_epoch=every), "val_loss", rungs, last)


def test_where_epochs_do_not_count_validations_or_there_is_no_rung_nothing_is_refused():
    check_validations(SimpleNamespace(check_val_every_n_epoch=None), "val_loss", (1, 3), 9)
    check_validations(SimpleNamespace(check_val_every_n_epoch=99), "val_loss", (), 9)


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
