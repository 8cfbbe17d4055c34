"""The runner alone: it survives a trip to another process, and it tells failures apart."""

import warnings

import cloudpickle
import lightning.pytorch as pl
import pytest
import torch

from lightning_tune import Float, Space, TuneLoop
from lightning_tune.core.decision import CONTINUE
from lightning_tune.core.outcome import Outcome
from lightning_tune.execute import Assignment, CheckpointRef, Retire
from lightning_tune.loop.opening import open_sweep
from lightning_tune.store import MemoryStore
from lightning_tune.testing.models import tiny_data, tiny_module
from lightning_tune.track.loggers import TrialLoggers

Tiny, TinyData = tiny_module(pl), tiny_data(pl)


class Channel:
    """A coordinator that lets everything go on."""

    def __init__(self):
        self.reports, self.ends, self.saves = [], [], []

    def report(self, trial, leg, step, values, metrics):
        self.reports.append((trial, leg, step, values))
        return CONTINUE

    def poll(self, trial):
        return CONTINUE

    def saved(self, trial, leg, step, kind, file):
        self.saves.append((kind, step, file))

    def keeps(self, trial):
        return True

    def finish(self, end):
        self.ends.append(end)
        return Outcome(state="completed", score=1.0, step=end.step, best_step=1.0, reason=end.reason)


def runner_of(tmp_path, model=Tiny, **given):
    loop = TuneLoop(
        {"lr": Float(1e-3, 1e-1)},
        monitor="val_loss",
        max_trials=1,
        root_dir=tmp_path,
        name="s",
        **{"logger": False, "trainer": {"max_epochs": 2, "accelerator": "cpu"}, **given},
    )
    plan = loop._plan(model, None, None, TinyData)
    sweep = open_sweep(
        name="s", folder=tmp_path, store=MemoryStore(), spec={}, space=Space({"lr": Float(0, 1)}),
        objective=loop.objective, repeats=1, constraint=None, anew=False, amend=False, overwrite=False,
    )  # fmt: skip
    loggers = TrialLoggers(loop.logger, package=plan.package, sweep="s", root=tmp_path)
    return loop._runner(plan, sweep, loggers)


def task(**given):
    return Assignment(
        **{"trial": 0, "group": 0, "leg": 0, "config": {"lr": 0.05}, "seed": 3, "budget": 2.0, **given}
    )


def test_it_reports_keeps_and_ends(tmp_path):
    channel = Channel()
    runner_of(tmp_path)(task(), channel)
    assert [entry[:3] for entry in channel.reports] == [(0, 0, 1.0), (0, 0, 2.0)]
    assert [kind for kind, *_ in channel.saves] == ["last", "best"]
    assert [(end.kind, end.step) for end in channel.ends] == [("completed", 2.0)]


def test_it_does_the_same_after_a_trip_through_cloudpickle(tmp_path):
    here, there = Channel(), Channel()
    runner = runner_of(tmp_path, logger="csv")
    runner(task(), here)
    cloudpickle.loads(cloudpickle.dumps(runner))(task(), there)
    assert here.reports == there.reports


def test_a_budget_below_the_trainers_pauses_with_a_checkpoint_from_which_it_goes_on(tmp_path):
    straight, parts = Channel(), Channel()
    runner = runner_of(tmp_path, trainer={"max_epochs": 4, "accelerator": "cpu"})
    runner(task(budget=4.0), straight)
    runner(task(budget=1.0, final=False), parts)
    (kind, step, file), *_ = parts.saves
    assert (kind, step, parts.ends[0].kind) == ("pause", 1.0, "paused")
    runner(task(leg=1, budget=4.0, checkpoint=file, trained=True), parts)
    assert [entry[2:] for entry in parts.reports] == [entry[2:] for entry in straight.reports]
    assert parts.ends[1].kind == "completed"


def test_a_damaged_checkpoint_starts_the_trial_again(tmp_path):
    channel = Channel()
    missing = CheckpointRef(path="trials/0/gone.ckpt", step=1.0, size=1, sha256="0")
    with pytest.warns(
        UserWarning, match="trial 0 starts again from nothing: checkpoint .*gone.ckpt cannot be read"
    ):
        runner_of(tmp_path)(task(checkpoint=missing), channel)
    assert [step for _, _, step, _ in channel.reports] == [1.0, 2.0]


def test_retiring_a_trial_only_tells_its_loggers(tmp_path):
    channel = Channel()
    outcome = Outcome(state="stopped", score=0.5, step=1.0, best_step=1.0, reason="not promoted")
    runner = runner_of(tmp_path, logger="csv")
    runner(Retire(trial=0, group=0, leg=0, config={"lr": 0.05}, seed=3, outcome=outcome), channel)
    assert channel.ends == channel.reports == []
    assert "not promoted" in next(tmp_path.rglob("outcome.json")).read_text()


def test_a_module_whose_state_cannot_be_saved_is_told_so_and_trains_on(tmp_path):
    class Odd:
        pass

    class Unsaveable(Tiny):
        def on_save_checkpoint(self, checkpoint):
            checkpoint["mine"] = Odd()

    channel = Channel()
    with pytest.warns(UserWarning, match="trial 0 cannot be saved: its state under 'mine'"):
        runner_of(tmp_path, Unsaveable, checkpoint_every_s=0)(task(), channel)
    assert [step for _, _, step, _ in channel.reports] == [1.0, 2.0]
    assert [kind for kind, *_ in channel.saves] == ["best"]


def test_hyperparameters_that_cannot_be_loaded_do_not_matter(tmp_path):
    class WithPath(Tiny):
        def __init__(self, lr=0.1):
            super().__init__(lr=lr)
            self.save_hyperparameters({"where": tmp_path, "kind": torch.nn.Linear})

    channel = Channel()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        runner_of(tmp_path, WithPath, checkpoint_every_s=0)(task(), channel)
    assert [kind for kind, *_ in channel.saves] == ["pause", "last", "best"]
