import importlib.util
import itertools
import math
from collections import defaultdict
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lightning_tune.core.budget import Budget
from lightning_tune.core.events import LegStarted, Reported, TrialEnded
from lightning_tune.core.space import Choice, Space
from lightning_tune.errors import ArgumentError
from lightning_tune.execute import InlineExecutor, LegEnd
from lightning_tune.schedule import ASHA, Hyperband, PopulationBased, Scheduler, SuccessiveHalving
from lightning_tune.search import GridSearch, RandomSearch
from lightning_tune.testing.functions import FunctionWork, make_coordinator, run_function
from lightning_tune.testing.scheduler_contract import SchedulerContract
from lightning_tune.testing.searcher_contract import FINITE, MIXED, bowl

spec = importlib.util.spec_from_file_location("random_sweeps", Path(__file__).with_name("random_sweeps.py"))
random_sweeps = importlib.util.module_from_spec(spec)
spec.loader.exec_module(random_sweeps)


class TestSuccessiveHalving(SchedulerContract):
    def scheduler(self) -> Scheduler:
        return SuccessiveHalving(num_trials=9, min_budget=1, eta=3)


class TestSeveralObjectives(random_sweeps.Several, SchedulerContract):
    def scheduler(self) -> Scheduler:
        return SuccessiveHalving(num_trials=9, min_budget=1, eta=3)


class TestSeveralBracketsCutShort(SchedulerContract):
    trials = 11

    def scheduler(self) -> Scheduler:
        return SuccessiveHalving(num_trials=4, min_budget=1, eta=2)


def by_brute_force(events, numbers, sizes, levels, eta, order=None):
    """Return, for each rung but the first, which of a bracket's trials go on: sorted lists, nothing else.

    Scores are read off the events themselves. A failure on the way to a rung loses; one further on changes
    nothing. With `order`, of costs in two objectives, it is the last finite report that counts.
    """
    scores, begun, failed = defaultdict(dict), defaultdict(list), {}
    for event in events:
        if isinstance(event, Reported):
            value = event.values[0] if math.isfinite(event.values[0]) else math.inf
            scores[event.trial][event.step] = (value, -event.values[-1]) if order else value
        elif isinstance(event, LegStarted):
            begun[event.trial].append(event.budget)
        elif isinstance(event, TrialEnded) and event.state == "failed":
            failed[event.trial] = begun[event.trial][-1]
    contenders, sets = list(numbers), []
    for size, level in zip(sizes[1:], levels, strict=False):
        ranked = []
        for trial in contenders:
            known = [score for step, score in scores[trial].items() if step <= level]
            if failed.get(trial, math.inf) <= level or not known:
                continue
            if order:
                ranked += [(cost, trial) for cost in known[-1:] if math.isfinite(cost[0])]
            elif math.isfinite(min(known)):
                ranked.append((min(known), trial))
        best = order({trial: cost for cost, trial in ranked}) if order else [t for _, t in sorted(ranked)]
        contenders = best[:size]
        sets.append(set(contenders))
    return sets


@settings(max_examples=1000, deadline=None)
@given(
    st.integers(0, 10**9),
    st.integers(1, 14),
    st.sampled_from([2, 3]),
    st.integers(1, 3),
    st.integers(0, 20),
    st.integers(1, 20),
)
def test_promotions_equal_brute_force(seed, size, eta, low, more, trials):
    schedule = SuccessiveHalving(num_trials=size, min_budget=low, eta=eta)
    history, events = random_sweeps.sweep(schedule, seed, trials=trials, max_budget=low + more)
    bracket = schedule.resolve(Budget(full=low + more)).brackets[0]
    budgets = defaultdict(list)
    for event in events:
        if isinstance(event, LegStarted):
            budgets[event.trial].append(event.budget)
    for first in range(0, trials, size):
        numbers = range(first, min(first + size, trials))
        sizes = [len(numbers)]
        while len(sizes) < len(bracket.levels):
            sizes.append(max(1, sizes[-1] // eta))
        promoted = by_brute_force(events, numbers, sizes, bracket.levels, eta)
        for level, expected in zip(bracket.levels[1:], promoted, strict=False):
            assert {trial for trial in numbers if level in budgets[trial]} == expected
    assert all(trial.state in ("completed", "stopped", "failed") for trial in history)


@pytest.mark.parametrize(
    "schedule", [SuccessiveHalving(11, 1, 2, max_budget=9), Hyperband(9, 3), Hyperband(9, 2)]
)
@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 10**9), trials=st.integers(1, 40))
def test_promotions_of_several_objectives_equal_brute_force_by_domination(schedule, seed, trials):
    history, events = random_sweeps.sweep(
        schedule, seed, trials=trials, max_budget=9, trouble=0.1, mode=["min", "max"]
    )
    budgets = defaultdict(list)
    for event in events:
        if isinstance(event, LegStarted):
            budgets[event.trial].append(event.budget)
    first, brackets = 0, itertools.cycle(schedule.resolve(Budget(full=9)).brackets)
    while first < trials:
        bracket = next(brackets)
        numbers = range(first, min(first + bracket.size, trials))
        sizes = (
            bracket.sizes if len(numbers) == bracket.size else bracket.of(len(numbers), schedule.eta).sizes
        )
        promoted = by_brute_force(
            events, numbers, sizes, bracket.levels, schedule.eta, random_sweeps.by_domination
        )
        for level, expected in zip(bracket.levels[1:], promoted, strict=False):
            assert {trial for trial in numbers if level in budgets[trial]} == expected
        first += bracket.size
    assert all(trial.state in ("completed", "stopped", "failed") for trial in history)


def test_every_decision_says_why():
    history = run_function(
        MIXED, RandomSearch(), bowl, max_trials=4, max_budget=4, schedule=SuccessiveHalving(4, 1, 2)
    )
    ranked = sorted(history, key=lambda trial: (trial.reports[0].value, trial.number))
    assert [trial.state for trial in ranked] == ["completed", "stopped", "stopped", "stopped"]
    assert [trial.reason for trial in ranked[1:]] == [
        "rung at 2 epochs: 2nd of 2, the best goes on",
        "rung at 1 epoch: 3rd of 4, the top 2 go on",
        "rung at 1 epoch: 4th of 4, the top 2 go on",
    ]
    best = ranked[0].number
    assert history.decision(best, 0, 1.0).reason == "rung at 1 epoch: 1st of 4, the top 2 go on"
    assert history.decision(best, 1, 2.0).reason == "rung at 2 epochs: 1st of 2, the best goes on"


def test_it_trains_exactly_what_it_said():
    schedule = SuccessiveHalving(16, 2, 2)
    history = run_function(MIXED, RandomSearch(), bowl, max_trials=16, max_budget=100, schedule=schedule)
    assert schedule.resolve(Budget(full=100)).cost(16, 1).endswith("at most 96 epochs")
    assert history.num_reports == 96


def test_a_search_that_runs_dry_leaves_no_bracket_open():
    """Twelve configurations for brackets of nine: the second is decided with the three that there are."""
    history = run_function(
        FINITE,
        GridSearch(4),
        lambda config, step: config["b"] / step,
        max_trials=99,
        max_budget=9,
        schedule=SuccessiveHalving(9, 1, 3),
    )
    assert [group.ended for group in history.groups] == [True] * 12
    assert sum(trial.step == 9 for trial in history) == 2


def test_repeats_are_ranked_by_their_mean():
    history = run_function(
        MIXED,
        RandomSearch(),
        bowl,
        max_trials=4,
        max_budget=4,
        repeats=2,
        schedule=SuccessiveHalving(4, 1, 2),
    )
    assert [len(group.members) for group in history.groups] == [2] * 4
    steps = sorted([member.step for member in group.members] for group in history.groups)
    assert steps == [[1, 1], [1, 1], [2, 2], [4, 4]]


class Coarse(FunctionWork):
    """Work that can pause only after every fifth step, as at the end of an epoch of five batches."""

    def steps(self, task, channel):
        step = channel.history.trials[task.trial].step
        while step < task.budget:
            step += 5
            yield step
            channel.report(task.trial, task.leg, step, (self.curve(task.config, step),), {})
        kind = "completed" if task.final or step >= task.full_budget else "paused"
        channel.finish(LegEnd(trial=task.trial, leg=task.leg, step=step, kind=kind, reason="budget"))


@pytest.mark.parametrize(
    ("schedule", "steps"),
    [
        (SuccessiveHalving(8, 2, 2, max_budget=16), [20, 10, 5, 5, 5, 5, 5, 5]),
        (Hyperband(16, 2, 2), [20, 10, 5, 5, 5, 5, 5, 5]),
        (ASHA(16, 2, 2), [20, 10, 10, 5, 5, 5, 5, 5]),
        (PopulationBased(8, 2, max_budget=20, resample=0), None),
    ],
)
def test_an_epoch_that_goes_past_several_rungs_leaves_nobody_behind(schedule, steps):
    space = Space({"x": Choice([1, 2, 3, 4, 5, 6, 7, 8])})
    sweep = make_coordinator(
        space, GridSearch(), max_trials=8, schedule=schedule, budget=Budget(unit="steps")
    )
    InlineExecutor().run(sweep, Coarse(lambda config, step: config["x"] / step))
    assert all(trial.ended is not None for trial in sweep.history)
    assert [trial.step for trial in sweep.history] == (steps or [20] * 8)


def test_another_order_may_be_given():
    def worst_first(history, level, groups):
        return sorted((group.number for group in groups), reverse=True)

    schedule = SuccessiveHalving(4, 1, 2, rank=worst_first)
    history = run_function(MIXED, RandomSearch(), bowl, max_trials=4, max_budget=4, schedule=schedule)
    assert [trial.step for trial in history] == [1, 1, 2, 4]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"eta": 1.5}, "`eta` must be a number of at least 2"),
        ({"eta": "3"}, "`eta` must be a number"),
        ({"num_trials": 0}, "`num_trials` must be an integer of at least 1, got 0"),
        ({"min_budget": 0}, "`min_budget` must be a number above 0"),
        ({"min_budget": 9, "max_budget": 3}, "`min_budget` must be at most `max_budget`: got 9 and 3"),
    ],
)
def test_wrong_settings_are_named(given, message):
    with pytest.raises(ArgumentError, match=message):
        SuccessiveHalving(**given)


@pytest.mark.parametrize(
    ("schedule", "budget", "message"),
    [
        (
            SuccessiveHalving(),
            Budget(full=10),
            "`min_budget` of SuccessiveHalving is 25, but the Trainer's `max_ep",
        ),
        (
            Hyperband(max_budget=81),
            Budget(full=27),
            "`max_budget` of Hyperband is 81, but the Trainer's `max_epo",
        ),
        (
            Hyperband(),
            Budget(),
            "`max_budget` of Hyperband must be given: only the Trainer that is built for each",
        ),
        (Hyperband(), Budget(unit="steps"), "must be given: it is counted in steps"),
        (Hyperband(), Budget(grows="model.depth"), "must be given: it is counted in depth"),
        (Hyperband(max_budget=2.5), Budget(full=9), "must be a whole number of epochs, got 2.5"),
        (SuccessiveHalving(min_budget=2), Budget(grows="data", full=1.0), "lower the one or raise the other"),
    ],
)
def test_budgets_that_do_not_fit_are_named(schedule, budget, message):
    with pytest.raises(ArgumentError, match=message):
        schedule.resolve(budget)


@pytest.mark.parametrize(
    ("schedule", "budget", "trials", "sentence"),
    [
        (
            SuccessiveHalving(16, 25, 2),
            Budget(full=1000),
            None,
            "16 trials, rungs at 25, 50, 100, 200, 400: at most 1200 epochs",
        ),
        (
            SuccessiveHalving(16, 25, 2),
            Budget(full=1000),
            20,
            "20 trials, rungs at 25, 50, 100, 200, 400: at most 1700 epochs",
        ),
        (
            Hyperband(max_budget=9000),
            Budget(unit="steps"),
            None,
            "46 trials, 4 brackets, rungs at 333, 1000, 3000, 9000 steps: at most 113,994 steps",
        ),
        (
            Hyperband(),
            Budget(grows="data", full=1.0),
            9,
            "9 trials, 4 brackets, rungs at 3.7%, 11.1%, 33.3%, 100% of the data: at most 2 full trainings",
        ),
        (
            Hyperband(max_budget=4, eta=2),
            Budget(grows="model.depth"),
            None,
            "9 trials, 3 brackets, rungs at depth 1, 2, 4: at most 13 trainings",
        ),
    ],
)
def test_the_cost_is_said_before_it_starts(schedule, budget, trials, sentence):
    assert schedule.resolve(budget).cost(trials, 1) == sentence


def test_a_trainer_that_would_train_further_is_noted():
    assert not SuccessiveHalving(16, 25, 2).resolve(Budget(full=400)).notes()
    (note,) = SuccessiveHalving(16, 25, 2).resolve(Budget(full=1000)).notes()
    assert "the last rung is at 400 epochs" in note
