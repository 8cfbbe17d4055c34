import importlib.util
import math
import statistics
from pathlib import Path
from typing import ClassVar

import lightning.pytorch as pl
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lightning_tune import TuneLoop
from lightning_tune.core.budget import Budget
from lightning_tune.core.events import TrialStarted
from lightning_tune.core.space import Choice, Float, Space
from lightning_tune.errors import ArgumentError
from lightning_tune.execute import InlineExecutor, LegEnd
from lightning_tune.schedule import FullBudget, PopulationBased, Scheduler
from lightning_tune.search import GridSearch, RandomSearch
from lightning_tune.store import MemoryStore
from lightning_tune.testing.functions import (
    FunctionWork,
    inherited_step,
    make_coordinator,
    run_function,
    story,
)
from lightning_tune.testing.models import tiny_loaders, tiny_module
from lightning_tune.testing.scheduler_contract import SchedulerContract
from lightning_tune.testing.searcher_contract import MIXED, bowl
from lightning_tune.testing.simulated import SimulatedExecutor

spec = importlib.util.spec_from_file_location("random_sweeps", Path(__file__).with_name("random_sweeps.py"))
random_sweeps = importlib.util.module_from_spec(spec)
spec.loader.exec_module(random_sweeps)


class TestPopulationBased(SchedulerContract):
    trials = 20

    def scheduler(self) -> Scheduler:
        return PopulationBased(population=6, quantile=0.34)


class TestPopulationBasedWithSeveralObjectives(random_sweeps.Several, SchedulerContract):
    trials = 20

    def scheduler(self) -> Scheduler:
        return PopulationBased(population=6, quantile=0.34)


class TestPopulationBasedThatIsCutShort(SchedulerContract):
    """Fewer configurations than copies are wanted: the last losers go on."""

    trials = 9

    def scheduler(self) -> Scheduler:
        return PopulationBased(population=6, interval=2, quantile=0.5)


# -- decisions


def standing(trial, level):
    """Return the newest value of a trial at a level; infinite if it failed on its way there."""
    values = [report.value for report in trial.reports if report.step <= level]
    failed = trial.state == "failed" and trial.budget <= level
    return math.inf if failed or not values else values[-1]


def check_generations(history, resolved, population, share, limit):
    """Replay a sweep generation by generation, in plain lists, with a place for every member."""
    trials, levels = history.trials, resolved.levels
    assert all(trial.parent is None for trial in trials[:population])
    members, children = list(trials[:population]), list(trials[population:])
    for number, (level, above) in enumerate(zip(levels, levels[1:], strict=False), 1):
        order = sorted(members, key=lambda trial: (standing(trial, level), trial.number))
        lost = sum(math.isinf(standing(trial, level)) for trial in order)
        top = {trial.number for trial in order[:share] if math.isfinite(standing(trial, level))}
        losers = order[len(order) - max(share, lost) :] if top else []
        left = limit - (len(trials) - len(children))
        for loser in losers[: min(left, len(losers))]:
            child = children.pop(0)
            assert child.legs[0].budget == above
            assert child.parent in top
            assert [report.step for report in child.reports][:1] in ([], [level + 1])
            if loser.state != "failed":
                place = order.index(loser) + 1
                assert loser.state == "stopped"
                assert loser.reason.startswith(f"generation {number}: {place}")
                assert loser.reason.endswith(f"of {len(order)}, replaced by a copy of trial {child.parent}")
            members[members.index(loser)] = child
        alive = [trial for trial in members if not (trial.state == "failed" and trial.budget <= level)]
        assert all(above in {leg.budget for leg in trial.legs} for trial in alive)
    assert not children
    assert all(trial.state in ("completed", "failed", "stopped") for trial in trials)


@settings(max_examples=300, deadline=None)
@given(
    st.integers(0, 10**9),
    st.integers(2, 9),
    st.integers(1, 4),
    st.sampled_from([0.1, 0.25, 0.5]),
    st.integers(2, 12),
    st.integers(0, 12),
)
def test_generations_equal_brute_force(seed, population, interval, quantile, high, copies):
    schedule = PopulationBased(population=population, interval=min(interval, high - 1), quantile=quantile)
    limit = population + copies
    history, _ = random_sweeps.sweep(schedule, seed, trials=limit, max_budget=high)
    share = max(1, int(population * quantile))
    check_generations(history, schedule.resolve(Budget(full=high)), population, share, limit)


def test_random_sweeps_have_copies_of_copies():
    """The check above can fail: there is much to check."""
    history, _ = random_sweeps.sweep(PopulationBased(interval=1), 3, trials=40, max_budget=10)
    parents = [trial.parent for trial in history if trial.parent is not None]
    assert len(parents) >= 18
    assert any(history.trials[parent].parent is not None for parent in parents)
    assert any(trial.state == "failed" for trial in history)


@pytest.mark.parametrize("workers", [2, 5, 64])
def test_the_number_of_workers_changes_nothing(workers):
    def sweep(executor):
        history = run_function(
            MIXED,
            RandomSearch(),
            bowl,
            max_trials=26,
            max_budget=10,
            schedule=PopulationBased(),
            executor=executor,
        )
        return story(history), [trial.parent for trial in history]

    speeds = SimulatedExecutor(workers, lambda config: config["lr"] + config["depth"])
    assert sweep(speeds) == sweep(InlineExecutor())


def test_who_goes_on_is_told_why():
    store = MemoryStore()
    run_function(
        MIXED, RandomSearch(), bowl, max_trials=5, max_budget=4, schedule=PopulationBased(4, 2), store=store
    )
    notes = [event.reason for event in store.read("test") if getattr(event, "action", "") == "continue"]
    assert sorted(notes) == [f"generation 1: {place} of 4, goes on" for place in ("1st", "2nd", "3rd")]


@pytest.mark.parametrize(("max_trials", "copies"), [(3, 0), (4, 0), (5, 1), (7, 3), (100, 9)])
def test_limits_leave_the_losers_to_go_on(max_trials, copies):
    history = run_function(
        MIXED, RandomSearch(), bowl, max_trials=max_trials, max_budget=10, schedule=PopulationBased(4)
    )
    states = [trial.state for trial in history]
    assert len(history) == min(max_trials, 4) + copies
    assert states.count("completed") == min(max_trials, 4)
    assert states.count("stopped") == copies


def test_a_search_that_runs_out_leaves_a_smaller_population():
    space = Space({"x": Choice([1, 2, 3])})
    history = run_function(
        space,
        GridSearch(),
        lambda config, step: config["x"],
        max_trials=9,
        max_budget=4,
        schedule=PopulationBased(4),
    )
    assert [trial.state for trial in history] == ["completed"] * 3


def test_copies_keep_the_constraint_or_are_not_changed():
    def few(config):
        return config["depth"] > 4

    history = run_function(
        MIXED,
        RandomSearch(),
        bowl,
        max_trials=26,
        max_budget=10,
        schedule=PopulationBased(),
        constraint=few,
    )
    assert len(history) == 26
    assert all(few(trial.config) and MIXED.contains(trial.config) for trial in history)
    allowed = [trial.config for trial in history.trials[:8]]
    unchanged = run_function(
        MIXED,
        RandomSearch(),
        bowl,
        max_trials=26,
        max_budget=10,
        schedule=PopulationBased(),
        baselines=allowed,
        constraint=lambda config: config in allowed,
    )
    assert all(trial.config == unchanged.trials[trial.parent].config for trial in unchanged.trials[8:])


def test_when_all_fail_it_is_over():
    def broken(config, step):
        raise MemoryError

    history = run_function(
        MIXED, RandomSearch(), broken, max_trials=26, max_budget=4, schedule=PopulationBased(4)
    )
    assert [trial.state for trial in history] == ["failed"] * 4


class Early(FunctionWork):
    """Work whose Trainer ends the trials of x = 1 in their first epoch."""

    def steps(self, task, channel):
        if task.config["x"] > 1:
            yield from super().steps(task, channel)
            return
        channel.report(task.trial, task.leg, 1.0, (self.curve(task.config, 1.0),), {})
        channel.finish(
            LegEnd(trial=task.trial, leg=task.leg, step=1.0, kind="completed", reason="EarlyStopping")
        )


@pytest.mark.parametrize("sign", [1, -1])
def test_a_member_that_completed_early_keeps_its_place(sign):
    """As the best it is not copied, as the worst it is not replaced."""
    space = Space({"x": Choice([1, 2, 3, 4])})
    sweep = make_coordinator(space, GridSearch(), max_trials=9, max_budget=4, schedule=PopulationBased(4, 2))
    InlineExecutor().run(sweep, Early(lambda config, step: sign * config["x"]))
    assert [trial.state for trial in sweep.history] == ["completed"] * 4


class Coarse(FunctionWork):
    """Work that pauses only at the end of an epoch of five steps."""

    def steps(self, task, channel):
        step = channel.history.trials[task.trial].step or inherited_step(
            channel.history, channel.history.trials[task.trial]
        )
        step = math.ceil(step / 5) * 5
        while step < task.budget:
            step += 5
            yield step
            channel.report(task.trial, task.leg, float(step), (self.curve(task.config, step),), {})
        kind = "completed" if task.final else "paused"
        channel.finish(LegEnd(trial=task.trial, leg=task.leg, step=float(step), kind=kind, reason="budget"))


@pytest.mark.parametrize("interval", [2, 4, 7])
def test_levels_within_an_epoch_are_passed_over(interval):
    space = Space({"x": Choice([1, 2, 3, 4])})
    budget = Budget(unit="steps")
    schedule = PopulationBased(4, interval, max_budget=20)
    sweep = make_coordinator(space, GridSearch(), max_trials=12, schedule=schedule, budget=budget)
    InlineExecutor().run(sweep, Coarse(lambda config, step: config["x"] / step))
    history = sweep.history
    assert len(history) > 4
    assert all(trial.state in ("completed", "stopped", "paused") for trial in history)
    assert sum(trial.step == 20 for trial in history) == 4
    budgets = [leg.budget for trial in history for leg in trial.legs]
    assert set(budgets) <= set(schedule.resolve(budget).levels)


# -- does it help


class Toy(FunctionWork):
    """Figure 2 of the paper: ascend 1.2 - h0·θ0² - h1·θ1² from (0.9, 0.9); the score is 1.2 - θ0² - θ1².

    What a copy inherits are the weights θ that its ancestors had when they were copied.
    """

    def steps(self, task, channel):
        history, trial = channel.history, channel.history.trials[task.trial]
        self.curve = lambda config, step: (
            1.2 - math.fsum(self.theta(history, trial, step, i) ** 2 for i in (0, 1))
        )
        yield from super().steps(task, channel)

    def theta(self, history, trial, step, index):
        begun = inherited_step(history, trial)
        start = (
            0.9 if trial.parent is None else self.theta(history, history.trials[trial.parent], begun, index)
        )
        return start * (1 - 2 * 0.02 * trial.config[f"h{index}"]) ** (step - begun)


def best_on_toy(schedule, trials, seed):
    """Return the best score of two trials whose settings each see only one of the two weights."""
    sweep = make_coordinator(
        Space({"h0": Float(0.0, 1.0), "h1": Float(0.0, 1.0)}),
        RandomSearch(),
        max_trials=trials,
        max_budget=120,
        mode="max",
        seed=seed,
        schedule=schedule,
        baselines=[{"h0": 1.0, "h1": 0.0}, {"h0": 0.0, "h1": 1.0}],
    )
    InlineExecutor().run(sweep, Toy(bowl))
    return sweep.history.best.score


def test_on_the_papers_toy_problem_it_finds_what_the_same_population_does_not():
    """Fixed, they end at 1.2 - 0.9²; of ten seeds all do better, and the median comes to the maximum, 1.2."""
    fixed = best_on_toy(FullBudget(), 2, seed=0)
    found = [best_on_toy(PopulationBased(2, 4, quantile=0.5), 50, seed) for seed in range(10)]
    assert fixed == pytest.approx(0.39, abs=1e-3)
    assert min(found) > 0.7
    assert statistics.median(found) > 1.19


# -- settings and words


@pytest.mark.parametrize(
    ("schedule", "budget", "max_trials", "sentence"),
    [
        (
            PopulationBased(8),
            Budget(full=100),
            None,
            "8 members, 10 generations of 10 epochs, at most 18 copies: 26 trials, at most 800 epochs",
        ),
        (
            PopulationBased(8, 3, 0.5),
            Budget(full=10),
            15,
            "8 members, 4 generations of 3 epochs, at most 7 copies: 15 trials, at most 80 epochs",
        ),
        (
            PopulationBased(8),
            Budget(full=5),
            3,
            "3 members, 5 generations of 1 epoch, at most 0 copies: 3 trials, at most 15 epochs",
        ),
        (
            PopulationBased(2, max_budget=2000),
            Budget(unit="steps"),
            None,
            "2 members, 10 generations of 200 steps, at most 9 copies: 11 trials, at most 4000 steps",
        ),
    ],
)
def test_the_cost_is_said_in_numbers(schedule, budget, max_trials, sentence):
    assert schedule.resolve(budget).cost(max_trials, 1) == sentence


@pytest.mark.parametrize(
    ("interval", "full", "levels"),
    [
        (None, 10, tuple(range(1, 11))),
        (3, 10, (3, 6, 9, 10)),
        (5, 10, (5, 10)),
        (None, 1, (1,)),
        (0.1, 0.3, (0.1, 0.2, 0.3)),
    ],
)
def test_levels(interval, full, levels):
    unit = "epochs" if full >= 1 else "seconds"
    schedule = PopulationBased(interval=interval, max_budget=full).resolve(Budget(unit=unit))
    assert schedule.levels == levels
    assert schedule.full_budget == full


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"population": 1}, "`population` must be an integer of at least 2, got 1"),
        ({"interval": 0}, "`interval` must be a number above 0, or None, got 0"),
        ({"quantile": 0}, "`quantile` must be a number above 0 and at most 0.5"),
        ({"quantile": 0.6}, "`quantile` must be a number above 0 and at most 0.5"),
        ({"perturb": ()}, r"`perturb` must be factors above 0, such as \(0.8, 1.2\), got \(\)"),
        ({"perturb": (0.8, -1)}, "`perturb` must be factors above 0"),
        ({"perturb": 1.2}, "`perturb` must be factors above 0"),
        ({"perturb": "12"}, "`perturb` must be factors above 0"),
        ({"resample": 1.5}, "`resample` must be a probability, from 0 to 1, got 1.5"),
        ({"max_budget": 0}, "`max_budget` must be a number above 0"),
    ],
)
def test_bad_settings_are_refused(settings, sentence):
    with pytest.raises(ArgumentError, match=sentence):
        PopulationBased(**settings)


@pytest.mark.parametrize(
    ("settings", "budget", "sentence"),
    [
        ({}, Budget(grows="model.depth"), "PopulationBased follows trials as they train on"),
        ({}, Budget(), "`max_budget` of PopulationBased must be given"),
        (
            {"interval": 9},
            Budget(full=9),
            "`interval` of PopulationBased must be below the largest budget, 9",
        ),
        ({"interval": 0.5}, Budget(full=9), "`interval` of PopulationBased must be a whole number of epochs"),
        ({"max_budget": 10}, Budget(full=9), "`max_budget` of PopulationBased is 10, but"),
    ],
)
def test_settings_that_do_not_fit_the_budget_are_refused(settings, budget, sentence):
    with pytest.raises(ArgumentError, match=sentence):
        PopulationBased(**settings).resolve(budget)


def test_repeats_are_not_allowed():
    assert not PopulationBased().allows_repeats


def test_lists_of_factors_are_the_same_setting_as_tuples():
    assert PopulationBased(perturb=[0.5, 2]) == PopulationBased(perturb=(0.5, 2))


# -- with real checkpoints


class Watched(tiny_module(pl)):
    """Notes its weights and its learning rate at each epoch's beginning and end, by (lr, dropout, epoch)."""

    began: ClassVar = {}
    ended: ClassVar = {}

    def note(self):
        rate = self.optimizers().param_groups[0]["lr"]
        key = (self.hparams.lr, self.hparams.dropout, self.current_epoch)
        return key, (rate, torch.cat([weight.detach().flatten() for weight in self.parameters()]).clone())

    def on_train_epoch_start(self):
        self.began.update([self.note()])

    def on_train_epoch_end(self):
        self.ended.update([self.note()])


def test_copies_train_on_from_their_parents_weights_under_their_own_settings(tmp_path):
    store = MemoryStore()
    result = TuneLoop(
        {"lr": Float(1e-3, 1e-1, log=True), "dropout": Float(0.0, 0.5)},
        monitor="val_loss",
        schedule=PopulationBased(4, quantile=0.5),
        trainer={"max_epochs": 4, "accelerator": "cpu"},
        logger=False,
        store=store,
        root_dir=tmp_path,
        name="population",
    ).fit(Watched, *tiny_loaders())
    started = [event for event in store.read("population") if isinstance(event, TrialStarted)]
    copies = {event.trial: event.parent for event in started if event.parent is not None}
    assert len(result.trials) == 4 + 3 * 2
    assert len(copies) == 6
    assert [trial.state for trial in result.trials].count("completed") == 4
    for number, lender in copies.items():
        trial, parent = result.trials[number], result.trials[lender]
        first = int(trial.reports[0].step)
        mine, theirs = ((each.config["lr"], each.config["dropout"]) for each in (trial, parent))
        assert mine != theirs
        rate, weights = Watched.began[(*mine, first - 1)]
        assert rate == trial.config["lr"]
        assert torch.equal(weights, Watched.ended[(*theirs, first - 2)][1])
        assert [report.step for report in trial.reports] == list(
            range(first, int(trial.reports[-1].step) + 1)
        )
