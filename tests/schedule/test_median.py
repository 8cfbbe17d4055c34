import importlib.util
import math
import statistics
from collections import defaultdict
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lightning_tune.core.budget import Budget
from lightning_tune.core.events import Decided, LegStarted, Reported, TrialStarted
from lightning_tune.core.history import History
from lightning_tune.core.objective import Objective
from lightning_tune.core.space import Choice, Space
from lightning_tune.errors import ArgumentError
from lightning_tune.schedule import MedianStopping, Scheduler
from lightning_tune.search import GridSearch
from lightning_tune.store import MemoryStore
from lightning_tune.testing.functions import run_function
from lightning_tune.testing.scheduler_contract import SchedulerContract

spec = importlib.util.spec_from_file_location("random_sweeps", Path(__file__).with_name("random_sweeps.py"))
random_sweeps = importlib.util.module_from_spec(spec)
spec.loader.exec_module(random_sweeps)


class TestMedianStopping(SchedulerContract):
    trials = 20

    def scheduler(self) -> Scheduler:
        return MedianStopping(min_trials=3)


class TestSeveralObjectives(random_sweeps.Several, SchedulerContract):
    trials = 20

    def scheduler(self) -> Scheduler:
        return MedianStopping(min_trials=3)


class ByBruteForce:
    """The rule of the paper with plain dictionaries, replayed beside the events of a sweep."""

    def __init__(self):
        self.curves = defaultdict(dict)

    def average(self, trial, level):
        """Return a trial's running average up to a level; None where it has none."""
        curve = self.curves[trial]
        if max(curve) < level:
            return None
        values = [value for step, value in curve.items() if step <= level]
        return statistics.fmean(values) if all(map(math.isfinite, values)) else None

    def worse(self, trial, level, min_trials):
        averages = [self.average(other, level) for other in self.curves if other != trial]
        averages = [average for average in averages if average is not None]
        best = min(self.curves[trial].values())
        return len(averages) >= min_trials and best > statistics.median(averages)


@settings(max_examples=300, deadline=None)
@given(
    st.integers(0, 10**9),
    st.integers(1, 6),
    st.integers(1, 4),
    st.one_of(st.none(), st.integers(1, 8)),
    st.integers(2, 20),
    st.integers(1, 30),
)
def test_decisions_equal_brute_force(seed, min_trials, interval, min_budget, high, trials):
    interval, min_budget = min(interval, high - 1), min_budget and min(min_budget, high)
    schedule = MedianStopping(min_trials=min_trials, min_budget=min_budget, interval=interval)
    _, events = random_sweeps.sweep(schedule, seed, trials=trials, max_budget=high)
    decisions = {(event.trial, event.step): event for event in events if isinstance(event, Decided)}
    oracle = ByBruteForce()
    for event in events:
        if not isinstance(event, Reported):
            continue
        oracle.curves[event.trial][event.step] = event.values[0]
        decided = decisions.get((event.trial, event.step))
        if not math.isfinite(event.values[0]):
            assert decided.reason.startswith("diverged")
            continue
        compared = event.step % interval == 0 and (min_budget or interval) <= event.step < high
        stops = compared and oracle.worse(event.trial, event.step, min_trials)
        assert (decided is not None and decided.action == "stop") == stops


def test_random_sweeps_have_stops_to_compare():
    """The check above can fail: a good part of the trials is stopped, and others are not."""
    history, _ = random_sweeps.sweep(MedianStopping(), 1, trials=40, max_budget=9)
    states = [trial.state for trial in history]
    assert states.count("stopped") > 5
    assert states.count("completed") > 5


def test_the_reason_speaks_in_the_users_own_direction():
    space = Space({"level": Choice([0.5, 0.6, 0.7, 0.4])})
    history = run_function(
        space,
        GridSearch(),
        lambda config, step: config["level"] + step / 100,
        mode="max",
        max_trials=4,
        max_budget=9,
        schedule=MedianStopping(min_trials=3, min_budget=3),
    )
    assert [trial.state for trial in history] == ["completed"] * 3 + ["stopped"]
    assert history.trials[3].step == 3
    assert history.trials[3].reason == "at 3 epochs: 0.43, worse than the median 0.62 of 3 running averages"


def history_of(*curves, budget=20.0, mode="min"):
    """Return a history of running trials, each a dict from step to value."""
    history, seq = History(Objective.of("value", mode)), iter(range(1, 10**6))
    for number, curve in enumerate(curves):
        fresh = {"config": {}, "seed": number, "space_version": 1, "origin": "search", "time": 0.0}
        events = [
            TrialStarted(trial=number, group=number, seq=next(seq), **fresh),
            LegStarted(trial=number, leg=0, budget=budget, time=0.0, seq=next(seq)),
        ]
        events += [Reported(number, 0, step, (value,), 0.0, seq=next(seq)) for step, value in curve.items()]
        history.extend(events)
    return history


def judged(schedule, history, full=20.0):
    """Return the decision on the last report of the last trial."""
    trial = history.trials[-1]
    last = trial.reports[-1]
    report = Reported(trial.number, last.leg, last.step, last.values, last.time)
    return schedule.resolve(Budget(full=full)).judge(report, history)


def test_a_report_that_passes_several_levels_is_compared_at_the_last():
    others = [{float(step): 1.0 - step / 10 for step in range(1, 9)}] * 2
    decision = judged(MedianStopping(min_trials=2), history_of(*others, {5.0: 0.75}))
    assert decision.reason == "at 5 epochs: 0.75, worse than the median 0.7 of 2 running averages"


def test_half_epochs_are_compared_when_they_pass_a_level():
    schedule, others = MedianStopping(min_trials=1), {0.5: 0.0, 1.0: 0.0, 1.5: 0.0}
    assert judged(schedule, history_of(others, {0.5: 1.0})).action == "continue"
    assert judged(schedule, history_of(others, {0.5: 1.0, 1.0: 1.0})).action == "stop"
    assert judged(schedule, history_of(others, {0.5: 1.0, 1.0: -1.0, 1.5: 9.0})).action == "continue"


def test_a_trial_is_not_among_its_own_others():
    """With itself among them the median would be 1.5, and it would go on."""
    assert judged(MedianStopping(min_trials=1), history_of({1.0: 1.0}, {1.0: 2.0})).action == "stop"
    assert judged(MedianStopping(min_trials=2), history_of({1.0: 1.0}, {1.0: 2.0})).action == "continue"


def test_an_equal_score_goes_on():
    assert judged(MedianStopping(min_trials=1), history_of({1.0: 1.0}, {1.0: 1.0})).action == "continue"


def test_others_without_a_finite_average_do_not_count():
    history = history_of({1.0: math.nan}, {1.0: 1.0}, {1.0: 2.0})
    assert judged(MedianStopping(min_trials=2), history).action == "continue"
    assert judged(MedianStopping(min_trials=1), history).reason.endswith("median 1 of 1 running averages")


def test_the_end_of_the_budget_stops_nobody():
    assert judged(MedianStopping(min_trials=1), history_of({2.0: 1.0}, {2.0: 2.0}), full=2.0).reason == ""


def test_a_larger_budget_lets_finished_trials_train_on():
    store = MemoryStore()
    space = Space({"level": Choice([0.5, 0.6])})
    for high in (3, 5):
        history = run_function(
            space,
            GridSearch(),
            lambda config, step: config["level"],
            max_trials=2,
            max_budget=high,
            store=store,
            schedule=MedianStopping(),
        )
    records = [MedianStopping().resolve(Budget(full=high)).record() for high in (3.0, 5.0)]
    assert records[0] == records[1]
    assert [trial.state for trial in history] == ["completed", "completed"]


@pytest.mark.parametrize(
    ("schedule", "budget", "sentence"),
    [
        (
            MedianStopping(),
            Budget(full=27),
            "20 trials of 27 epochs, compared every epoch from 1 epoch on: at most 540 epochs",
        ),
        (
            MedianStopping(min_budget=4, interval=2),
            Budget(full=27),
            "20 trials of 27 epochs, compared every 2 epochs from 4 epochs on: at most 540 epochs",
        ),
        (
            MedianStopping(max_budget=1000),
            Budget(unit="steps"),
            "20 trials of 1000 steps, compared every 50 steps from 50 steps on: at most 20,000 steps",
        ),
        (MedianStopping(), Budget(), "20 trials, compared every epoch from 1 epoch on"),
    ],
)
def test_the_cost_is_said_in_numbers(schedule, budget, sentence):
    assert schedule.resolve(budget).cost(20, 1) == sentence


def test_the_cost_of_an_endless_sweep():
    sentence = MedianStopping().resolve(Budget(full=27)).cost(None, 1)
    assert (
        sentence
        == "trials of 27 epochs, compared every epoch from 1 epoch on, until the search or a limit ends it"
    )


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"min_trials": 0}, "`min_trials` must be an integer of at least 1, got 0"),
        ({"interval": -1}, "`interval` must be a number above 0, or None, got -1"),
        ({"min_budget": 0}, "`min_budget` must be a number above 0, or None, got 0"),
        ({"min_budget": 9, "max_budget": 3}, "`min_budget` must be at most `max_budget`: got 9 and 3"),
        ({"max_budget": -math.inf}, "`max_budget` must be a number above 0"),
    ],
)
def test_bad_settings_are_refused(settings, sentence):
    with pytest.raises(ArgumentError, match=sentence):
        MedianStopping(**settings)


@pytest.mark.parametrize(
    ("settings", "budget", "sentence"),
    [
        ({}, Budget(grows="data", full=1.0), "MedianStopping follows trials as they train on"),
        ({}, Budget(unit="steps"), "`max_budget` of MedianStopping must be given: it is counted in steps"),
        ({"min_budget": 30}, Budget(full=27), "`min_budget` of MedianStopping is 30, but"),
        (
            {"min_budget": 2.5},
            Budget(full=27),
            "`min_budget` of MedianStopping must be a whole number of epochs",
        ),
        ({"max_budget": 30}, Budget(full=27), "`max_budget` of MedianStopping is 30, but"),
        ({"interval": 27}, Budget(full=27), "`interval` of MedianStopping must be below the largest budget"),
    ],
)
def test_settings_that_do_not_fit_the_budget_are_refused(settings, budget, sentence):
    with pytest.raises(ArgumentError, match=sentence):
        MedianStopping(**settings).resolve(budget)


def test_repeats_are_not_allowed():
    assert not MedianStopping().allows_repeats
    assert MedianStopping().num_trials is None


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 10**9), st.integers(1, 5), st.integers(2, 12), st.integers(1, 30))
def test_with_several_objectives_whoever_is_worse_than_the_median_in_each_is_stopped(
    seed, min_trials, high, trials
):
    _, events = random_sweeps.sweep(
        MedianStopping(min_trials=min_trials), seed, trials=trials, max_budget=high, mode=["min", "max"]
    )
    decided = {(e.trial, e.step): e for e in events if isinstance(e, Decided)}
    curves = defaultdict(list)
    for event in events:
        if not isinstance(event, Reported):
            continue
        curves[event.trial].append((event.values[0], -event.values[1]))
        answer = decided.get((event.trial, event.step))
        if not math.isfinite(event.values[0]):
            assert answer.reason.startswith("diverged")
            continue
        level, own = int(event.step), curves[event.trial][-1]
        others = [curve[:level] for trial, curve in curves.items() if trial != event.trial]
        others = [curve for curve in others if len(curve) == level and math.isfinite(curve[-1][0])]
        averages = [[statistics.fmean(column) for column in zip(*curve, strict=True)] for curve in others]
        medians = [statistics.median(column) for column in zip(*averages, strict=True)]
        worse = len(others) >= min_trials and all(a > b + 1e-12 for a, b in zip(own, medians, strict=True))
        if level < high and worse:
            assert f"worse than the median {medians[0]:g}, {-medians[1]:g} of {len(others)}" in answer.reason
        elif answer is not None:
            assert any(abs(a - b) < 1e-12 for a, b in zip(own, medians, strict=True))
