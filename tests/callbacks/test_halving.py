"""The stand-alone callback inside real Trainers."""

import copy
import importlib
import logging
import os
import pickle
import signal

import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint, StochasticWeightAveraging
from lightning.pytorch.loggers import CSVLogger
from torch.utils.data import DataLoader, TensorDataset

from lightning_tune import SuccessiveHalvingPruner, TrialPrunedError
from lightning_tune.core.events import Decided, LegStarted, Reported, SessionOpened
from lightning_tune.core.history import History
from lightning_tune.core.objective import Objective
from lightning_tune.errors import (
    ArgumentError,
    MonitorError,
    StoreError,
    SweepBusyError,
    SweepExistsError,
    TuneError,
)
from lightning_tune.inspect.pages import sweep_page, trial_page
from lightning_tune.inspect.reading import find_sweep
from lightning_tune.inspect.rows import export
from lightning_tune.store import open_store

QUIET = {
    "accelerator": "cpu",
    "logger": False,
    "enable_checkpointing": False,
    "enable_progress_bar": False,
    "enable_model_summary": False,
}
BATCHES = 4


def net(package=pl):
    """A module whose losses are what it is told: `losses[epoch]`, the last one for ever."""

    class Net(package.LightningModule):
        def __init__(self, losses=(1.0,), manual=False, crash_at=None, late=False):
            super().__init__()
            self.save_hyperparameters()
            self.layer = torch.nn.Linear(1, 1)
            self.automatic_optimization = not manual
            self.seen = []

        @property
        def loss(self):
            return self.hparams.losses[min(self.current_epoch, len(self.hparams.losses) - 1)]

        def training_step(self, batch, index):
            self.seen.append(self.current_epoch)
            if self.hparams.crash_at == self.current_epoch:
                raise RuntimeError("a bug\non two lines")
            loss = self.layer(batch[0]).square().mean()
            self.log("train_step", loss)
            self.log("forked", self.loss + index, on_step=True, on_epoch=True)
            self.log("train_loss", self.loss, on_step=False, on_epoch=True)
            if self.hparams.manual:
                optimizer = self.optimizers()
                optimizer.zero_grad()
                self.manual_backward(loss)
                optimizer.step()
            return loss

        def validation_step(self, batch, index):
            self.log("val_loss", self.loss)

        def on_train_epoch_end(self):
            if self.hparams.late:
                self.log("late_loss", self.loss)

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), 0.1)

    return Net


Net = net()


def loaders():
    data = TensorDataset(torch.ones(2 * BATCHES, 1))
    return DataLoader(data, batch_size=2), DataLoader(data, batch_size=4)


@pytest.fixture
def place(tmp_path):
    return tmp_path / "sweep.db"


@pytest.fixture(autouse=True)
def _still():
    """Let no line of Lightning's own through."""
    logging.getLogger("lightning.pytorch").setLevel(logging.INFO)


def fit(
    place, module=None, *, monitor="val_loss", callbacks=(), ckpt_path=None, package=pl, pruner=(), **trainer
):
    """Fit once; return the Trainer, which holds the module and the callback."""
    callback = SuccessiveHalvingPruner(monitor, **{"sweep": "s", "store": place, **dict(pruner)})
    built = package.Trainer(**{**QUIET, "max_epochs": 9, **trainer}, callbacks=[*callbacks, callback])
    built.pruner = callback
    built.fit(
        Net() if module is None else module,
        *loaders(),
        ckpt_path=ckpt_path,
        weights_only=True if ckpt_path else None,
    )
    return built


def events(place, kind=object):
    with open_store(place) as store:
        return [event for event in store.read("s") if isinstance(event, kind)]


def history(place):
    found = History(Objective.of("val_loss"))
    found.extend(events(place))
    return found


def steps(place, trial):
    return [event.step for event in events(place, Reported) if event.trial == trial]


# -- what it does


@pytest.mark.parametrize("name", ["lightning.pytorch", "pytorch_lightning"])
def test_a_worse_run_ends_at_its_first_rung_under_either_package(place, name):
    package = importlib.import_module(name)
    first = fit(place, net(package)([1.0, 0.5]), package=package)
    second = fit(place, net(package)([2.0]), package=package)
    assert (first.current_epoch, second.current_epoch) == (9, 1)
    assert first.callback_metrics["tune/rung"] == 3
    assert second.callback_metrics["tune/rung"] == 1
    trials = history(place).trials
    assert [(trial.state, trial.step, trial.score) for trial in trials] == [
        ("completed", 9, 0.5),
        ("stopped", 1, 2.0),
    ]
    assert trials[0].reason == "trained 9 epochs"
    assert trials[1].reason == "rung at 1 epoch: 2nd of 2, the best goes on"
    assert steps(place, 0) == list(range(1, 10))


def test_a_later_rung_ends_a_run_that_fell_behind(place):
    fit(place, Net([1.0, 0.1]))
    assert fit(place, Net([0.9, 0.8])).current_epoch == 3
    assert history(place).trials[1].reason == "rung at 3 epochs: 2nd of 2, the best goes on"


def test_the_mode_turns_it_round(place):
    for value, epochs in ((0.5, 9), (0.4, 1), (0.6, 9)):
        assert fit(place, Net([value]), pruner={"mode": "max"}).current_epoch == epochs


def test_its_hyperparameters_and_seed_are_recorded(place):
    pl.seed_everything(11, verbose=False)
    fit(place, Net([0.5]), max_epochs=2)
    (trial,) = history(place).trials
    assert trial.config == {"losses": [0.5], "manual": False, "crash_at": None, "late": False}
    assert trial.seed == 11
    assert trial.budget == 2
    assert trial.reports[0].metrics["train_step"] >= 0
    assert not any(name.startswith("tune/") for name in trial.reports[1].metrics)


def test_it_says_what_it_decides(place, caplog):
    caplog.set_level(logging.INFO)
    logger = logging.getLogger("lightning.pytorch")
    logger.addHandler(caplog.handler)
    try:
        fit(place, pruner={"verbose": True})
        fit(place, Net([2.0]))
    finally:
        logger.removeHandler(caplog.handler)
    said = [r.getMessage() for r in caplog.records if r.getMessage().startswith("SuccessiveHalvingPruner")]
    assert list(dict.fromkeys(said)) == [
        "SuccessiveHalvingPruner: trial 0 of sweep 's' begins; rungs at 1, 3, 9 epochs.",
        "SuccessiveHalvingPruner: trial 0 of sweep 's', rung at 1 epoch: 1st of 1, the best goes on.",
        "SuccessiveHalvingPruner: trial 0 of sweep 's', rung at 3 epochs: 1st of 1, the best goes on.",
        "SuccessiveHalvingPruner: trial 1 of sweep 's', rung at 1 epoch: 2nd of 2, the best goes on; it ends "
        "with this epoch.",
    ]


def test_the_rung_reaches_the_users_logger(place, tmp_path):
    logger = CSVLogger(tmp_path, name="", version="")
    fit(place, max_epochs=3, logger=logger, log_every_n_steps=1, pruner={"eta": 2})
    assert "tune/rung" in (tmp_path / "metrics.csv").read_text().splitlines()[0]


def test_what_was_recorded_can_be_listed_and_exported(place, tmp_path):
    fit(place)
    fit(place, Net([2.0]))
    sweep = find_sweep(str(place))
    assert "2 trials: 1 completed, 1 stopped; 10 reports" in sweep_page(sweep, 20)
    assert "rung at 1 epoch: 2nd of 2" in trial_page(sweep, 1)
    assert export(sweep.history, tmp_path / "trials.csv") == 2


def test_without_a_store_it_is_below_the_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LIGHTNING_TUNE_STORE", raising=False)
    fit(None, max_epochs=2)
    assert len(find_sweep("sweeps").history) == 1


# -- beside others


def test_checkpoints_are_written_before_it_raises(place, tmp_path):
    fit(place)
    saver = ModelCheckpoint(tmp_path / "out", save_last=True, monitor="val_loss")
    with pytest.raises(TrialPrunedError, match="rung at 1 epoch: 2nd of 2, the best goes on"):
        fit(place, Net([2.0]), callbacks=[saver], enable_checkpointing=True, pruner={"raise_on_prune": True})
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["epoch=0-step=4.ckpt", "last.ckpt"]
    assert history(place).trials[1].state == "stopped"
    kept = torch.load(tmp_path / "out" / "last.ckpt", weights_only=True)
    assert [state["trial"] for key, state in kept["callbacks"].items() if "Pruner" in key] == [1]


def test_early_stopping_ends_a_run_as_ever(place):
    trainer = fit(place, callbacks=[EarlyStopping("val_loss", patience=2)])
    assert trainer.current_epoch == 3
    (trial,) = history(place).trials
    told = "Monitored metric val_loss did not improve in the last 2 records. Best score: 1.000"
    assert (trial.state, trial.reason) == ("completed", f"EarlyStopping ended it at epoch 3 of 9: {told}")


def test_it_says_when_and_why_it_stopped_and_a_validation_leaves_that_alone(place):
    first = fit(place, Net([1.0, 1.0, *[0.1] * 7]))
    assert (first.pruner.stopped_epoch, first.pruner.reason) == (0, "")
    trainer = fit(place, Net([0.5] * 9))
    reason = history(place).trials[1].reason
    assert (trainer.pruner.stopped_epoch, trainer.pruner.reason) == (2, reason)
    assert reason.startswith("rung at 3 epochs: 2nd of 2")
    trainer.validate(trainer.lightning_module, loaders()[1], verbose=False)
    assert trainer.pruner.reason == reason


def test_both_stop_in_one_epoch_and_the_rung_is_the_reason(place):
    fit(place)
    fit(place, Net([2.0]), callbacks=[EarlyStopping("val_loss", stopping_threshold=3.0)])
    assert history(place).trials[1].state == "stopped"


def test_min_epochs_and_min_steps_do_not_keep_a_stopped_run_going(place):
    fit(place)
    assert fit(place, Net([2.0]), min_epochs=5, min_steps=30).current_epoch == 1


def test_an_epoch_that_weight_averaging_adds_is_no_rung(place):
    trainer = fit(place, callbacks=[StochasticWeightAveraging(0.01, 3, annealing_epochs=1)], max_epochs=6)
    assert trainer.pruner._schedule.levels == (1, 3, 6)
    assert history(place).trials[0].budget == 6


def test_manual_optimisation(place):
    fit(place)
    assert fit(place, Net([2.0], manual=True)).current_epoch == 1


def test_validation_several_times_an_epoch_ends_it_with_the_epoch(place):
    fit(place, max_epochs=4, pruner={"max_epochs": 4})
    trainer = fit(place, Net([2.0]), max_epochs=4, val_check_interval=0.25, pruner={"max_epochs": 4})
    assert trainer.global_step == BATCHES
    assert steps(place, 1) == [0.25, 0.5, 0.75, 1.0]
    third = fit(place, Net([0.9, 0.9, 0.5, 3.0]), max_epochs=4, val_check_interval=0.75)
    assert third.current_epoch == 4
    assert steps(place, 2) == [0.75, 1.75, 2.75, 3.75]
    rungs = [event.step for event in events(place, Decided) if event.trial == 2]
    assert rungs == [1.75, 3.75]  # the first validations past 1 and 3


def test_a_stop_in_the_middle_of_an_epoch_waits_for_its_end(place):
    fit(place)
    trainer = fit(place, Net([2.0]), val_check_interval=0.75)  # at 0.75, and then at 1.75 past the rung
    assert steps(place, 1) == [0.75, 1.75]
    assert trainer.global_step == 2 * BATCHES
    assert history(place).trials[1].step == 2


def test_validation_every_second_epoch_is_judged_at_the_first_past_a_rung(place):
    for value in (1.0, 2.0):
        fit(place, Net([value]), check_val_every_n_epoch=2, num_sanity_val_steps=0)
    assert steps(place, 0) == [2, 4, 6, 8]
    assert steps(place, 1) == [2]
    assert history(place).trials[1].step == 2


# -- which metrics


@pytest.mark.parametrize("monitor", ["train_loss", "forked", "forked_epoch"])
def test_a_metric_of_training_is_read_at_the_epochs_end(place, monitor):
    fit(place, monitor=monitor, val_check_interval=0.5)
    assert steps(place, 0) == list(range(1, 10))
    mean = (BATCHES - 1) / 2 if "forked" in monitor else 0  # of the whole epoch, not of its last batch
    assert {event.values for event in events(place, Reported)} == {(1.0 + mean,)}
    assert fit(place, Net([2.0]), monitor=monitor).current_epoch == 1


def test_a_metric_of_training_needs_no_validation(place):
    fit(place, monitor="train_loss", limit_val_batches=0)
    assert steps(place, 0) == list(range(1, 10))


def test_any_of_several_validation_loaders_may_be_monitored(place):
    class Two(Net):
        def validation_step(self, batch, index, dataloader_idx=0):
            self.log("val", float(dataloader_idx))

    train, validation = loaders()
    callback = SuccessiveHalvingPruner("val/dataloader_idx_1", sweep="s", store=place)
    built = pl.Trainer(**QUIET, max_epochs=2, val_check_interval=0.5, callbacks=[callback])
    built.fit(Two(), train, [validation, validation])
    reports = events(place, Reported)
    assert [(event.step, event.values) for event in reports] == [(half / 2, (1.0,)) for half in range(1, 5)]


def test_a_metric_that_the_module_logs_after_all_callbacks_is_seen_an_epoch_later(place):
    fit(place, Net([1.0], late=True), monitor="late_loss")
    assert steps(place, 0) == list(range(1, 10))
    assert fit(place, Net([2.0], late=True), monitor="late_loss").current_epoch == 2
    assert steps(place, 1) == [1, 2]


@pytest.mark.parametrize(
    ("monitor", "words"),
    [
        (
            "val_los",
            "`monitor='val_los'` was never logged. Logged are: forked, forked_epoch, train_loss, val_loss.",
        ),
        ("val_los", "Did you mean 'val_loss'?"),
        ("train_step", "`monitor='train_step'` is logged on steps only"),
        (
            "forked_step",
            "`monitor='forked_step'` is logged on steps only",
        ),
    ],
)
def test_a_monitor_that_is_no_measurement_is_told_after_one_epoch(place, monitor, words):
    module = Net()
    with pytest.raises(MonitorError) as error:
        fit(place, module, monitor=monitor, val_check_interval=0.5)
    assert words in str(error.value)
    assert set(module.seen) == {0}
    (trial,) = history(place).trials
    assert (trial.state, trial.cause, trial.step) == ("failed", "exception", 1)


def test_a_monitor_is_missed_at_the_end_of_one_epoch_too(place):
    with (
        pytest.raises(MonitorError, match="never logged"),
        pytest.warns(UserWarning, match="one rung only, at 1"),
    ):
        fit(place, monitor="nothing", max_epochs=1)


def test_validations_that_meet_no_rung_are_refused(place):
    module = Net()
    with pytest.raises(ArgumentError, match="`check_val_every_n_epoch=9` never meets a rung"):
        fit(place, module, check_val_every_n_epoch=9, num_sanity_val_steps=0)
    assert set(module.seen) == {0}
    fit(place, monitor="train_loss", check_val_every_n_epoch=9, pruner={"sweep": "t"})


# -- what is left alone


def test_a_fast_dev_run_writes_nothing(place):
    fit(place, fast_dev_run=True)
    assert not place.exists()


def test_the_sanity_check_validate_and_test_write_nothing(place):
    trainer = fit(place, max_epochs=2, num_sanity_val_steps=2)
    assert steps(place, 0) == [1, 2]
    before = len(events(place))
    trainer.validate(trainer.lightning_module, loaders()[1], verbose=False)
    Net.test_step = Net.validation_step
    try:
        trainer.test(trainer.lightning_module, loaders()[1], verbose=False)
    finally:
        del Net.test_step
    assert len(events(place)) == before


def test_a_sanity_check_that_fails_leaves_a_failed_trial_without_reports(place):
    class Broken(Net):
        def validation_step(self, batch, index):
            raise ValueError("no such layer")

    with pytest.raises(ValueError, match="no such layer"):
        fit(place, Broken())
    (trial,) = history(place).trials
    assert (trial.state, trial.reason, trial.rows.tolist()) == ("failed", "ValueError: no such layer", [])


# -- how runs end


def test_an_exception_is_recorded_with_its_traceback(place):
    with pytest.raises(RuntimeError, match="a bug"):
        fit(place, Net(crash_at=2))
    (trial,) = history(place).trials
    assert (trial.state, trial.step, trial.reason) == ("failed", 2, "RuntimeError: a bug")
    assert "training_step" in trial.error
    assert fit(place, Net([2.0])).current_epoch == 1  # what it had reported stays in the comparison


class Signals(pl.Callback):
    def __init__(self, number, epoch=2):
        self.number, self.epoch = number, epoch

    def on_train_epoch_start(self, trainer, module):
        if trainer.current_epoch == self.epoch:
            os.kill(os.getpid(), self.number)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_is_paused(place, number):
    old = signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job may ignore it
    try:
        with pytest.raises(SystemExit):
            fit(place, callbacks=[Signals(number)])
    finally:
        signal.signal(signal.SIGINT, old)
    (trial,) = history(place).trials
    assert (trial.state, trial.step) == ("paused", 2)
    assert trial.reason.startswith("interrupted (")


def test_a_store_that_fails_in_mid_run_ends_the_run(place):
    module = Net()

    class Breaks(pl.Callback):
        def on_train_epoch_start(self, trainer, module):
            if trainer.current_epoch == 3:
                trainer.pruner._member.run.store.close()

    with (
        pytest.raises(StoreError, match="was closed"),
        pytest.warns(UserWarning, match="the end of trial 0 could not be recorded: .*was closed"),
    ):
        fit(place, module, callbacks=[Breaks()])
    assert set(module.seen) == {0, 1, 2, 3}
    assert steps(place, 0) == [1, 2, 3]
    assert history(place).trials[0].state == "running"


def test_another_process_that_takes_the_trial_ends_this_one(place):
    class Thief(pl.Callback):
        def on_train_epoch_start(self, trainer, module):
            if trainer.current_epoch == 2:
                with open_store(place) as store:
                    store.append("s", [LegStarted(trial=0, leg=1, budget=9.0, time=1.0)])

    with pytest.raises(SweepBusyError, match="another process"):
        fit(place, callbacks=[Thief()])
    assert history(place).trials[0].state == "running"  # the other one's


def test_the_error_of_a_stopped_run_is_ours_and_can_be_pickled():
    assert issubclass(TrialPrunedError, TuneError)
    assert str(pickle.loads(pickle.dumps(TrialPrunedError("why")))) == "why"


# -- restarts

RESTARTS = pytest.mark.filterwarnings(
    "ignore:.*dirpath has changed", "ignore:.*exists and is not empty", "ignore:.*callbacks used to create"
)


class Kill(Exception):
    pass


def saved(folder, **options):
    return ModelCheckpoint(folder, filename="{epoch}", save_top_k=-1, **options)


def crashed(place, folder, epoch=3):
    """A run that dies in an epoch, as a killed process does: nothing says that it ended."""

    class Dies(pl.Callback):
        def on_train_batch_start(self, trainer, module, batch, index):
            if trainer.current_epoch == epoch and index == 1:
                trainer.pruner._member.run.over = True  # a killed process records nothing
                raise Kill

    with pytest.raises(Kill):
        fit(place, Net([1.0, 0.9, 0.8]), callbacks=[saved(folder), Dies()], enable_checkpointing=True)
    assert history(place).trials[0].state == "running"


@RESTARTS
def test_a_killed_run_that_is_resumed_is_the_same_trial_and_reports_nothing_twice(place, tmp_path):
    crashed(place, tmp_path / "out", epoch=4)
    module = Net([1.0, 0.9, 0.8])
    fit(
        place,
        module,
        ckpt_path=tmp_path / "out" / "epoch=2.ckpt",
        enable_checkpointing=True,
        default_root_dir=tmp_path,
    )
    assert min(module.seen) == 3
    (trial,) = history(place).trials
    assert (trial.state, trial.step) == ("completed", 9)
    assert [(report.leg, report.step) for report in trial.reports] == [
        *((0, step) for step in (1, 2, 3, 4)),
        *((1, step) for step in (5, 6, 7, 8, 9)),
    ]
    assert trial.legs[1].checkpoint == "epoch=2.ckpt"
    assert [event.provenance["trial"] for event in events(place, SessionOpened)] == [0, 0]


@RESTARTS
def test_a_recorded_stop_is_found_again_when_its_epoch_is_trained_again(place, tmp_path):
    """Killed between the decision and the epoch's end, with a checkpoint from before."""
    fit(place, Net([1.0, 1.0, 0.1]))

    class Dies(pl.Callback):
        def on_train_epoch_end(self, trainer, module):
            if trainer.current_epoch == 2:
                trainer.pruner._member.run.over = True
                raise Kill

    module = Net([0.5])
    with pytest.raises(Kill):
        fit(place, module, callbacks=[saved(tmp_path), Dies()], enable_checkpointing=True)
    assert history(place).trials[1].state == "running"
    again = Net([0.5])
    fit(place, again, ckpt_path=tmp_path / "epoch=1.ckpt")
    assert again.seen == []
    trial = history(place).trials[1]
    assert (trial.state, trial.step) == ("stopped", 3)
    assert trial.reason == "rung at 3 epochs: 2nd of 2, the best goes on"
    assert len(trial.reports) == 3


@RESTARTS
def test_a_stopped_run_that_is_resumed_trains_no_further(place, tmp_path):
    fit(place)
    fit(place, Net([2.0]), callbacks=[saved(tmp_path)], enable_checkpointing=True)
    before, module = len(events(place)), Net([2.0])
    with pytest.raises(TrialPrunedError, match="2nd of 2"):
        fit(place, module, ckpt_path=tmp_path / "epoch=0.ckpt", pruner={"raise_on_prune": True}, min_epochs=4)
    assert module.seen == []
    assert len(events(place)) == before


@RESTARTS
def test_a_finished_run_that_is_resumed_has_nothing_to_train(place, tmp_path):
    fit(place, callbacks=[saved(tmp_path)], enable_checkpointing=True, max_epochs=3)
    module = Net()
    fit(place, module, ckpt_path=tmp_path / "epoch=2.ckpt", max_epochs=3)
    assert module.seen == []
    (trial,) = history(place).trials
    assert (trial.state, trial.step, trial.reason) == ("completed", 3, "there was nothing left to train")


@RESTARTS
def test_a_checkpoint_of_another_store_begins_a_new_trial(place, tmp_path):
    fit(place, callbacks=[saved(tmp_path / "out")], enable_checkpointing=True, max_epochs=3)
    other = tmp_path / "other.db"
    fit(other, ckpt_path=tmp_path / "out" / "epoch=0.ckpt", max_epochs=3)
    (trial,) = history(other).trials
    assert steps(other, 0) == [2, 3]
    assert (trial.state, trial.legs[0].checkpoint) == ("completed", "epoch=0.ckpt")


def test_a_callback_that_serves_one_trainer_after_another_makes_a_trial_of_each(place, tmp_path):
    callback = SuccessiveHalvingPruner("val_loss", sweep="s", store=place)
    for loss in (1.0, 2.0):
        trainer = pl.Trainer(**QUIET, max_epochs=3, callbacks=[callback])
        trainer.fit(Net([loss]), *loaders())
    assert [trial.state for trial in history(place).trials] == ["completed", "stopped"]
    assert callback.state_dict()["trial"] == 1
    callback.setup(pl.Trainer(**QUIET, max_epochs=3), None, "fit")
    assert callback.state_dict() == {}  # what a learning-rate finder saves and loads before the fit begins


def test_a_trainer_that_is_fitted_again_goes_on_with_its_trial(place):
    trainer = fit(place, max_epochs=4, pruner={"max_epochs": 4})
    trainer.fit_loop.max_epochs = 6
    trainer.fit(trainer.lightning_module, *loaders())
    (trial,) = history(place).trials
    assert [report.step for report in trial.reports] == [1, 2, 3, 4, 5, 6]
    assert len(trial.legs) == 2


def test_its_state_is_plain_and_its_key_its_own(place):
    callback = SuccessiveHalvingPruner("val_loss", sweep="s", store=place)
    assert callback.state_dict() == {}
    callback.load_state_dict({"sweep": "s", "created": 1.0, "trial": 3})
    others = [
        SuccessiveHalvingPruner("val_loss", sweep="t"),
        SuccessiveHalvingPruner("val_acc", sweep="s"),
        SuccessiveHalvingPruner("val_loss", mode="max", sweep="s"),
    ]
    assert len({callback.state_key, *(other.state_key for other in others)}) == 4
    assert pickle.loads(pickle.dumps(callback)).state_key == copy.deepcopy(callback).state_key


def test_two_of_them_on_one_trainer(place):
    other = SuccessiveHalvingPruner("train_loss", sweep="t", store=place)
    for loss in (1.0, 2.0):
        trainer = fit(place, Net([loss]), callbacks=[copy.deepcopy(other)])
    assert {"tune/rung/s", "tune/rung/t"} <= set(trainer.callback_metrics)
    with open_store(place) as store:
        assert [record.name for record in store.sweeps()] == ["t", "s"]


# -- bad input


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            {"monitor": ["a", "b"]},
            "`monitor` must be the name of one metric, got ['a', 'b']. To compare by several",
        ),
        ({"monitor": ""}, "`monitor` must name a metric"),
        ({"mode": "up"}, "`mode` must be 'min' or 'max', got 'up'"),
        ({"eta": 1}, "`eta` must be a number of at least 2"),
        ({"min_epochs": 0}, "`min_epochs` must be an integer of at least 1, got 0"),
        ({"min_epochs": 2.5}, "`min_epochs` must be an integer of at least 1, got 2.5"),
        ({"min_epochs": 9, "max_epochs": 3}, "`min_epochs` must be at most `max_epochs`: got 9 and 3"),
        ({"sweep": "../up"}, "`sweep` must be 1 to 100 letters"),
        ({"store": 3}, "`store` must be a path or URL, or None, got int"),
    ],
)
def test_a_bad_argument_is_named(arguments, words):
    with pytest.raises(ArgumentError) as error:
        SuccessiveHalvingPruner(**{"monitor": "val_loss", "sweep": "s", **arguments})
    assert words in str(error.value)


def test_the_sweep_must_be_named():
    with pytest.raises(TypeError, match="sweep"):
        SuccessiveHalvingPruner("val_loss")


@pytest.mark.parametrize(
    ("trainer", "pruner", "words"),
    [
        ({"max_epochs": -1, "max_steps": 8}, {}, "`max_epochs` of SuccessiveHalvingPruner must be given"),
        ({"max_epochs": 4}, {"max_epochs": 5}, "is 5, but the Trainer's `max_epochs` is 4"),
        ({"max_epochs": 4}, {"min_epochs": 5}, "is 5, but the Trainer's `max_epochs` is 4"),
    ],
)
def test_a_trainer_that_does_not_fit_is_refused_before_anything_is_written(place, trainer, pruner, words):
    with pytest.raises(ArgumentError) as error:
        fit(place, pruner=pruner, **trainer)
    assert words in str(error.value)
    assert not place.exists()


def test_a_trainer_without_an_end_takes_the_last_rung_from_the_argument(place):
    fit(place, max_epochs=-1, max_steps=5 * BATCHES, pruner={"max_epochs": 27})
    (trial,) = history(place).trials
    assert (trial.state, trial.step, trial.budget) == ("completed", 5, 27)
    assert fit(place, Net([2.0]), max_epochs=-1, max_steps=99, pruner={"max_epochs": 27}).current_epoch == 1


def test_a_trainer_of_other_rungs_is_refused(place):
    fit(place)
    with pytest.raises(SweepExistsError, match="max_epochs: 9 there, 27 here"):
        fit(place, max_epochs=27)
    assert len(history(place)) == 1


def test_one_rung_alone_is_warned_of(place):
    with pytest.warns(UserWarning, match="one rung only, at 2, where training is over"):
        fit(place, max_epochs=2, pruner={"min_epochs": 2})


@pytest.mark.parametrize(
    ("store", "error"),
    [("nowhere/sweep.db", StoreError), ("mysql://host/base", ArgumentError), ("", ArgumentError)],
)
def test_a_store_that_cannot_be_opened_ends_it_before_it_trains(tmp_path, store, error):
    module = Net()
    with pytest.raises(error):
        fit(f"{tmp_path}/{store}" if store.startswith("nowhere") else store, module)
    assert module.seen == []


# -- the command line of Lightning


@pytest.mark.filterwarnings("ignore")
def test_a_file_of_lightning_cli_can_name_it(place, tmp_path, monkeypatch):
    from lightning.pytorch.cli import LightningCLI

    class Demo(Net):
        def train_dataloader(self):
            return loaders()[0]

        def val_dataloader(self):
            return loaders()[1]

    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.yaml").write_text(
        f"""
trainer:
  max_epochs: 3
  accelerator: cpu
  logger: false
  enable_checkpointing: false
  enable_progress_bar: false
  callbacks:
    - class_path: lightning_tune.SuccessiveHalvingPruner
      init_args:
        monitor: val_loss
        sweep: s
        store: {place}
        eta: 2
"""
    )
    cli = LightningCLI(Demo, args=["fit", "--config", "config.yaml"], save_config_callback=None)
    assert isinstance(cli.trainer.callbacks[0], SuccessiveHalvingPruner)
    assert steps(place, 0) == [1, 2, 3]
    assert history(place).trials[0].state == "completed"
