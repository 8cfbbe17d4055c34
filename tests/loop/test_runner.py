"""The runner alone: it survives a trip to another process, and it tells failures apart."""

import warnings

import cloudpickle
import lightning.pytorch as pl
import pytest
import torch

from lightning_tune import Float, Space, SuccessiveHalving, TuneLoop
from lightning_tune.core.decision import CONTINUE
from lightning_tune.core.outcome import Outcome
from lightning_tune.execute import Assignment, CheckpointRef, Retire
from lightning_tune.loop.opening import open_sweep
from lightning_tune.schedule import FullBudget
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
        history=loop.settings.history(), amend=False, overwrite=False,
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


def test_a_rung_that_an_earlier_epoch_went_past_takes_no_training(tmp_path):
    channel = Channel()
    runner = runner_of(tmp_path, budget_unit="samples", schedule=SuccessiveHalving(2, 16, 2, max_budget=64))
    runner(task(budget=16.0, final=False), channel)
    (_, step, file) = channel.saves[-1]
    runner(task(leg=1, budget=32.0, checkpoint=file, trained=True, final=False), channel)
    runner(task(leg=2, budget=64.0, checkpoint=file, trained=True), channel)
    assert step == 64.0
    assert len(channel.reports) == 1
    assert [(end.kind, end.step, end.reason) for end in channel.ends[1:]] == [
        ("paused", 64.0, "reached 32 samples in an earlier leg"),
        ("completed", 64.0, "reached 64 samples in an earlier leg"),
    ]


def test_a_trainer_with_fewer_epochs_than_are_trained_has_nothing_to_do_in_any_unit(tmp_path):
    channel, settings = Channel(), {"budget_unit": "steps", "schedule": FullBudget(max_budget=1000)}
    long = runner_of(tmp_path, trainer={"max_epochs": 5, "accelerator": "cpu"}, **settings)
    long(task(budget=6.0, final=False), channel)
    assert [step for _, _, step, _ in channel.reports] == [2.0, 4.0, 6.0]
    short = runner_of(tmp_path, trainer={"max_epochs": 2, "accelerator": "cpu"}, **settings)
    short(task(leg=1, budget=1000.0, checkpoint=channel.saves[-1][2], trained=True), channel)
    assert len(channel.reports) == 3
    assert (channel.ends[1].kind, channel.ends[1].reason) == (
        "completed",
        "its Trainer ended it at 6 of 1000 steps",
    )


class Slowing(Tiny):
    """Its rate is halved after every epoch; a momentum that can be set."""

    seen: list[tuple[float, float]] = []  # noqa: RUF012

    def __init__(self, lr=0.05, width=8, momentum=0.9):
        super().__init__(lr=lr, width=width)
        self.momentum = momentum

    def configure_optimizers(self):
        optimizer = torch.optim.SGD(self.parameters(), self.lr, momentum=self.momentum)
        return [optimizer], [torch.optim.lr_scheduler.StepLR(optimizer, 1, 0.5)]

    def on_train_epoch_start(self):
        (group,) = self.trainer.optimizers[0].param_groups
        Slowing.seen.append((group["lr"], group["momentum"]))


def lent(tmp_path, **settings):
    """Train a trial for two of four epochs; return the runner, the channel and its checkpoint."""
    channel = Channel()
    runner = runner_of(tmp_path, Slowing, trainer={"max_epochs": 4, "accelerator": "cpu"}, **settings)
    runner(task(budget=2.0, final=False), channel)
    Slowing.seen.clear()
    return runner, channel, channel.saves[-1][2]


def test_a_trial_that_inherits_goes_on_with_its_own_settings_and_best_weights_of_its_own(tmp_path):
    runner, channel, file = lent(tmp_path)
    config = {"lr": 0.2, "momentum": 0.5}
    runner(
        task(trial=1, group=1, config=config, seed=5, budget=4.0, checkpoint=file, inherited=True), channel
    )
    assert Slowing.seen == [(pytest.approx(0.05), 0.5), (pytest.approx(0.025), 0.5)]
    own = [(step, values[0]) for trial, _, step, values in channel.reports if trial == 1]
    assert [step for step, _ in own] == [3.0, 4.0]
    kind, step, _ = channel.saves[-1]
    assert (kind, step) == ("best", min(own, key=lambda report: report[1])[0])


def test_a_trial_that_inherits_the_same_settings_is_the_lenders_continuation(tmp_path):
    runner, channel, file = lent(tmp_path)
    runner(task(leg=1, budget=4.0, checkpoint=file, trained=True), channel)
    runner(task(trial=1, group=1, seed=5, budget=4.0, checkpoint=file, inherited=True), channel)
    first, second = ([entry[2:] for entry in channel.reports if entry[0] == trial] for trial in (0, 1))
    assert first[2:] == second


def test_a_trial_that_saves_after_it_inherited_keeps_what_it_has(tmp_path):
    runner, channel, file = lent(tmp_path, checkpoint_every_s=0)
    runner(task(trial=1, group=1, config={"lr": 0.2}, budget=4.0, checkpoint=file, inherited=True), channel)
    assert [rate for rate, _ in Slowing.seen] == [pytest.approx(0.05), pytest.approx(0.025)]


def test_a_trial_whose_shapes_differ_from_the_lenders_fails_alone(tmp_path):
    runner, channel, file = lent(tmp_path)
    config = {"lr": 0.2, "width": 16}
    runner(task(trial=1, group=1, config=config, budget=4.0, checkpoint=file, inherited=True), channel)
    end = channel.ends[-1]
    assert (end.trial, end.kind) == (1, "exception")
    assert "does not fit its module or optimizer (Error(s) in loading state_dict for Slowing" in end.reason
    assert channel.ends[0].kind == "paused"
