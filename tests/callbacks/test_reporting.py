"""When the monitor is read: whatever is logged, wherever it is logged, once a validation or epoch."""

import lightning.pytorch as pl
import pytest
import torch

from lightning_tune.callbacks.leg import Leg
from lightning_tune.callbacks.pause import pause_callback
from lightning_tune.callbacks.reporting import reporting_callback
from lightning_tune.core.decision import CONTINUE, Decision
from lightning_tune.core.objective import Objective
from lightning_tune.errors import MonitorError
from lightning_tune.testing.models import tiny_loaders, tiny_module

Tiny = tiny_module(pl)


class Recorder:
    def __init__(self, stop_at=None):
        self.stop_at, self.reports = stop_at, []

    def report(self, trial, leg, step, values, metrics):
        self.reports.append((step, tuple(values), dict(metrics)))
        return CONTINUE if step != self.stop_at else Decision(action="stop", reason="enough")

    def poll(self, trial):
        return CONTINUE

    def keeps(self, trial):
        return False


def fit(monitor="val_acc", mode="max", score="best", stop_at=None, model=None, loaders=None, **trainer):
    channel = Recorder(stop_at)
    leg = Leg(
        trial=0,
        leg=0,
        budget=float("inf"),
        objective=Objective.of(monitor, mode, score),
        channel=channel,
        resumed=False,
        save_due=lambda: False,
        accepts=lambda state: True,
        write=lambda kind, step, state: None,
    )
    pl.seed_everything(0, verbose=False)
    reporting = reporting_callback(pl, leg)
    built = pl.Trainer(
        **{"max_epochs": 3, **trainer},
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[pause_callback(pl, leg)],
    )
    built.callbacks.append(reporting)
    built.fit(model or Tiny(), *(loaders or tiny_loaders(16)))
    return channel.reports, reporting, leg, built


pytestmark = pytest.mark.filterwarnings("ignore")  # Lightning's tips about workers and logging intervals


def test_each_validation_is_one_report_and_the_sanity_check_is_none():
    reports, *_ = fit(num_sanity_val_steps=2)
    assert [step for step, *_ in reports] == [1, 2, 3]
    assert all(
        set(metrics) == {"val_acc", "val_loss"} | ({"train_loss"} if step > 1 else set())
        for step, _, metrics in reports
    )


def test_validations_in_the_middle_of_an_epoch_have_fractional_steps():
    reports, *_ = fit(val_check_interval=0.5)
    assert [step for step, *_ in reports] == [0.5, 1, 1.5, 2, 2.5, 3]


def test_validation_every_second_epoch():
    reports, *_ = fit(check_val_every_n_epoch=2, max_epochs=4)
    assert [step for step, *_ in reports] == [2, 4]


def test_a_metric_of_training_is_read_at_the_epochs_end():
    reports, *_ = fit("train_loss", "min")
    assert [step for step, *_ in reports] == [1, 2, 3]
    assert len({values for _, values, _ in reports}) == 3


def test_a_metric_of_the_modules_own_epoch_end_is_read_once_an_epoch():
    class Late(Tiny):
        def on_train_epoch_end(self):
            self.log("late", float(self.current_epoch))

    reports, *_ = fit("late", "max", model=Late())
    assert [(step, values) for step, values, _ in reports] == [(1, (0.0,)), (2, (1.0,)), (3, (2.0,))]


@pytest.mark.parametrize("trainer", [{}, {"val_check_interval": 0.5}, {"limit_val_batches": 0}])
@pytest.mark.parametrize("monitor", ["loss", "loss_epoch"])
def test_a_metric_of_steps_and_epochs_is_read_for_the_epoch(monitor, trainer):
    class Forked(Tiny):
        def training_step(self, batch, index):
            self.log("loss", float(index), on_step=True, on_epoch=True)
            return super().training_step(batch, index)

    reports, *_ = fit(monitor, "min", model=Forked(), **trainer)  # batches 0, 1, 2, 3
    assert [(step, values) for step, values, _ in reports] == [(step, (1.5,)) for step in (1, 2, 3)]


def test_a_metric_that_is_logged_now_and_then_is_reported_when_it_is():
    class Rare(Tiny):
        def on_train_epoch_end(self):
            if self.current_epoch % 2:
                self.log("rare", float(self.current_epoch))

    reports, *_ = fit("rare", "max", model=Rare(), max_epochs=5, check_val_every_n_epoch=3)
    assert [(step, values) for step, values, _ in reports] == [(2, (1.0,)), (4, (3.0,))]


def test_one_monitor_of_training_and_one_of_validation_are_read_at_the_epochs_end():
    monitors = {"monitor": ["val_loss", "train_loss"], "mode": "min", "score": lambda values: values[0]}
    reports, *_ = fit(**monitors, val_check_interval=0.5)
    assert [step for step, *_ in reports] == [1, 2, 3]
    reports, *_ = fit(**monitors, check_val_every_n_epoch=2, max_epochs=5)
    assert [step for step, *_ in reports] == [2, 4]


def test_any_of_several_validation_loaders_may_be_monitored():
    class Two(Tiny):
        def validation_step(self, batch, index, dataloader_idx=0):
            self.log("val", float(dataloader_idx))

    train, validation = tiny_loaders(16)
    both = (train, [validation, validation])
    reports, *_ = fit("val/dataloader_idx_1", model=Two(), loaders=both, val_check_interval=0.5)
    assert [(step, values) for step, values, _ in reports] == [(half / 2, (1.0,)) for half in range(1, 7)]


def test_the_weights_kept_are_those_of_the_best_step():
    states = {}

    class Watched(Tiny):
        def on_validation_end(self):
            states[self.current_epoch + 1] = {k: v.clone() for k, v in self.state_dict().items()}

    reports, reporting, *_ = fit("val_loss", "min", model=Watched(lr=0.5), max_epochs=8)
    best = min(reports, key=lambda entry: entry[1][0])
    assert (reporting.best_step, reporting.best_epoch) == (best[0], best[0])
    assert all(torch.equal(reporting.weights[name], value) for name, value in states[best[0]].items())


def test_score_last_keeps_the_last_weights():
    _, reporting, _, built = fit("val_loss", "min", score="last")
    assert reporting.best_step == 3
    module = built.lightning_module
    assert all(torch.equal(reporting.weights[name], value) for name, value in module.state_dict().items())


def test_a_stop_ends_training_with_that_epoch_even_under_min_epochs():
    reports, _, leg, built = fit(stop_at=2, max_epochs=9, min_epochs=5)
    assert [step for step, *_ in reports] == [1, 2]
    assert (built.current_epoch, leg.ending, leg.reason) == (2, "stop", "enough")


def test_validating_and_testing_with_the_same_trainer_report_nothing():
    reports, _, _, built = fit()
    built.validate(built.lightning_module, tiny_loaders()[1], verbose=False)
    assert len(reports) == 3


def test_a_monitor_that_is_not_logged_is_found_after_the_first_epoch():
    class Counting(Tiny):
        epochs = 0

        def on_train_epoch_start(self):
            Counting.epochs += 1

    with pytest.raises(
        MonitorError, match=r"Logged are: train_loss, val_acc, val_loss. Did you mean 'val_acc'"
    ):
        fit("val_accc", model=Counting(), max_epochs=9)
    assert Counting.epochs == 1


def test_a_module_that_logs_nothing_is_told_how():
    class Mute(pl.LightningModule):
        def __init__(self):
            super().__init__()
            self.layer = torch.nn.Linear(4, 3)

        def training_step(self, batch, index):
            return torch.nn.functional.cross_entropy(self.layer(batch[0]), batch[1])

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), 0.1)

    with pytest.raises(MonitorError, match="logs no metric at all: use `self.log`"):
        fit("loss", model=Mute())


def test_several_monitors_are_one_report():
    reports, *_ = fit(["val_acc", "val_loss"], ["max", "min"], score=lambda values: values[1])
    assert all(len(values) == 2 for _, values, _ in reports)


def test_with_several_objectives_the_weights_kept_are_those_of_the_last_finite_report():
    class Tricky(Tiny):
        def on_validation_epoch_end(self):
            self.log("trap", [1.0, 5.0, float("nan")][self.current_epoch])

    seen = []

    class Watched(Tricky):
        def on_train_epoch_end(self):
            seen.append({name: value.clone() for name, value in self.state_dict().items()})

    _, reporting, *_ = fit(["val_loss", "trap"], "min", model=Watched(), num_sanity_val_steps=0)
    assert reporting.best_step == 2
    assert all(torch.equal(reporting.weights[name], value) for name, value in seen[1].items())


def test_every_monitor_of_several_must_be_logged():
    with pytest.raises(MonitorError, match="`monitor='latency'` was never logged") as raised:
        fit(["val_loss", "latency"], "min")
    assert "no value either" not in str(raised.value)
    with pytest.raises(
        MonitorError, match=r"'latency'` was never .* Of `monitor`, 'size' has no value either"
    ):
        fit(["latency", "val_loss", "size"], "min")
