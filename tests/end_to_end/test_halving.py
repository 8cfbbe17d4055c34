"""Sweeps under rungs with a real Trainer: what is trained, what is on the disk, what is refused."""

from collections import Counter

import lightning.pytorch as pl
import pytest
import torch

from lightning_tune import Float, Int, TuneLoop
from lightning_tune.errors import ArgumentError, SweepExistsError
from lightning_tune.loop.settings import SweepSettings
from lightning_tune.schedule import ASHA, Hyperband, SuccessiveHalving
from lightning_tune.testing.models import tiny_data, tiny_module

Tiny, TinyData = tiny_module(pl), tiny_data(pl)
SPACE = {"lr": Float(1e-3, 1e-1, log=True), "width": Int(4, 16)}


class Count(pl.Callback):
    """Counts the epochs that are trained, over all Trainers that it is copied to."""

    trained: Counter = Counter()

    def on_train_epoch_start(self, trainer, module):
        self.trained[module.lr, trainer.current_epoch] += 1


@pytest.fixture(autouse=True)
def fresh():
    Count.trained = Counter()


def loop(root, **given):
    settings = {
        "monitor": "val_loss",
        "search": "random",
        "trainer": {"max_epochs": 9, "accelerator": "cpu", "callbacks": [Count()]},
        "logger": False,
        "root_dir": root,
        "name": "s",
        **given,
    }
    return TuneLoop(SPACE, **settings)


def fit(root, model=Tiny, **given):
    return loop(root, **given).fit(model, datamodule=TinyData)


@pytest.mark.parametrize(
    ("given", "trials"),
    [
        ({"schedule": "hyperband"}, 15),
        ({"search": "hyperband"}, 15),
        ({"schedule": ASHA(eta=3), "max_trials": 9}, 9),
        ({"schedule": SuccessiveHalving(8, 1, 2)}, 8),
    ],
)
def test_no_epoch_is_trained_twice_and_all_that_are_were_asked_for(tmp_path, given, trials):
    result = fit(tmp_path, **given)
    assert len(result.trials) == trials
    assert set(Count.trained.values()) == {1}
    assert sum(Count.trained.values()) == sum(trial.epochs for trial in result.trials)


def test_a_promoted_trial_equals_one_that_was_never_paused(tmp_path):
    result = fit(tmp_path, schedule="hyperband", keep_checkpoints=99)
    straight = fit(tmp_path, name="straight", max_trials=15, keep_checkpoints=99)
    for trial, whole in zip(result.trials, straight.trials, strict=True):
        assert (trial.config, trial.seed) == (whole.config, whole.seed)
        shared = len(trial.reports)
        assert [(r.step, r.metrics) for r in trial.reports] == [
            (r.step, r.metrics) for r in whole.reports[:shared]
        ]
    best = result.best
    one, other = (
        torch.load(found.checkpoint, weights_only=True)["state_dict"]
        for found in (best, straight.trials[best.number])
    )
    assert all(torch.equal(one[name], other[name]) for name in one)


def listen(monkeypatch, listener):
    """Let a listener hear of every event of the sweeps to come."""
    original = SweepSettings.coordinator

    def watched(self, sweep, **given):
        return original(self, sweep, **{**given, "listeners": [listener]})

    monkeypatch.setattr(SweepSettings, "coordinator", watched)


def test_the_disk_holds_what_may_be_promoted_and_the_best(tmp_path, monkeypatch):
    """At any time there are no more files of paused trials than trials that wait at a rung."""
    most = []

    def look(event, history):
        paused = {trial.number for trial in history if trial.state in ("paused", "running")}
        there = {int(path.parent.name) for path in tmp_path.rglob("pause-*.ckpt")}
        kept = {trial.number for trial in history.leaders(1)}
        most.append(len(there))
        if type(event).__name__ in ("LegStarted", "Reported"):  # a file goes right after its trial's end
            assert there <= paused | kept

    listen(monkeypatch, look)
    result = fit(tmp_path, schedule=SuccessiveHalving(9, 1, 3))
    assert max(most) == 9
    names = sorted(path.name for path in tmp_path.rglob("*.ckpt"))
    assert names == [f"best-2-{result.best.best_epoch:g}.ckpt", "last-2-9.ckpt"]


def test_the_best_trial_may_be_one_that_was_stopped(tmp_path):
    """It scored best at its first epoch, and another order promoted others: its weights are kept."""

    def worst_first(history, level, groups):
        return sorted((g.number for g in groups), key=lambda n: -history.cost_at(history.group(n), level))

    class Falls(Tiny):
        """Gets worse with every epoch."""

        def validation_step(self, batch, index):
            self.log("val_loss", 1.0 / self.lr + self.current_epoch)

    result = fit(tmp_path, Falls, schedule=SuccessiveHalving(4, 1, 2, rank=worst_first))
    assert (result.best.state, result.best.epochs) == ("stopped", 1)
    module = result.best.load(Falls)
    assert module.lr == result.best.config["lr"]


def test_a_damaged_checkpoint_of_a_promoted_trial_costs_epochs_alone(tmp_path, monkeypatch):
    expected = fit(tmp_path, name="whole", schedule=SuccessiveHalving(4, 1, 2))
    Count.trained = Counter()

    def damage(event, history):
        if type(event).__name__ == "LegStarted" and event.leg == 1:
            (tmp_path / "s" / event.checkpoint).write_bytes(b"gone")

    listen(monkeypatch, damage)
    with pytest.warns(UserWarning, match="starts again from nothing: checkpoint .* has 4 bytes"):
        result = fit(tmp_path, schedule=SuccessiveHalving(4, 1, 2))
    for trial, other in zip(result.trials, expected.trials, strict=True):
        assert [(r.step, r.values) for r in trial.reports] == [(r.step, r.values) for r in other.reports]
        assert trial.state == other.state
    assert set(Count.trained.values()) == {1, 2}


def test_a_dry_run_says_what_it_costs_and_writes_nothing(tmp_path, capsys):
    result = loop(tmp_path, schedule="hyperband", dry_run=True).fit(Tiny, datamodule=TinyData)
    assert "dry run: 15 trials, 3 brackets, rungs at 1, 3, 9: at most 63 epochs" in capsys.readouterr().out
    assert (len(result.trials), result.reason) == (0, "dry run")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ArgumentError, match="`min_budget` of SuccessiveHalving is 25"):
        loop(tmp_path, schedule="halving", dry_run=True).fit(Tiny, datamodule=TinyData)


@pytest.mark.parametrize(
    "changed",
    [
        {"schedule": Hyperband(eta=2)},
        {"schedule": "asha"},
        {"schedule": None},
        {"schedule": "hyperband", "trainer": {"max_epochs": 27, "accelerator": "cpu"}},
    ],
)
def test_another_schedule_or_other_rungs_are_refused_on_resume(tmp_path, changed):
    fit(tmp_path, schedule="hyperband", max_trials=2)
    with pytest.raises(SweepExistsError, match="schedule: "):
        fit(tmp_path, max_trials=20, **changed)


def test_more_trials_go_on_where_the_brackets_had_ended(tmp_path):
    once = fit(tmp_path, schedule="hyperband")
    again = fit(tmp_path, schedule="hyperband", max_trials=24)
    assert [trial.epochs for trial in again.trials[:15]] == [trial.epochs for trial in once.trials]
    assert sorted(trial.epochs for trial in again.trials[15:]) == [1] * 6 + [3] * 2 + [9]


def test_a_space_that_searches_max_epochs_needs_a_largest_budget(tmp_path):
    sweep = TuneLoop(
        {"trainer.max_epochs": Int(2, 5)},
        monitor="val_loss",
        schedule="asha",
        max_trials=2,
        root_dir=tmp_path,
    )
    with pytest.raises(ArgumentError, match="`max_budget` of ASHA must be given: only the Trainer that is"):
        sweep.fit(Tiny, datamodule=TinyData)


def test_min_epochs_does_not_keep_a_paused_trial_going(tmp_path):
    trainer = {"max_epochs": 9, "min_epochs": 6, "accelerator": "cpu", "callbacks": [Count()]}
    result = fit(tmp_path, trainer=trainer, schedule=SuccessiveHalving(3, 1, 3))
    assert sorted(trial.epochs for trial in result.trials) == [1, 1, 3]
