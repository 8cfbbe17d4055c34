import importlib.util
import math
from collections import defaultdict
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lightning_tune.core.budget import Budget
from lightning_tune.core.events import Decided, LegStarted, Reported, TrialEnded, TrialPaused, TrialStarted
from lightning_tune.errors import ArgumentError
from lightning_tune.schedule import ASHA, Scheduler
from lightning_tune.search import RandomSearch
from lightning_tune.testing.functions import make_coordinator, run_function
from lightning_tune.testing.scheduler_contract import SchedulerContract
from lightning_tune.testing.searcher_contract import MIXED, bowl
from lightning_tune.testing.simulated import SimulatedExecutor

spec = importlib.util.spec_from_file_location("random_sweeps", Path(__file__).with_name("random_sweeps.py"))
random_sweeps = importlib.util.module_from_spec(spec)
spec.loader.exec_module(random_sweeps)


class TestASHA(SchedulerContract):
    trials = 20

    def scheduler(self) -> Scheduler:
        return ASHA(eta=3)


class TestASHAInBrackets(SchedulerContract):
    trials = 20

    def scheduler(self) -> Scheduler:
        return ASHA(eta=2, brackets=3)


class TestASHAWithSeveralObjectives(random_sweeps.Several, SchedulerContract):
    trials = 20

    def scheduler(self) -> Scheduler:
        return ASHA(eta=3)


class TestASHAThatStopsWithSeveralObjectives(random_sweeps.Several, SchedulerContract):
    trials = 20

    def scheduler(self) -> Scheduler:
        return ASHA(eta=2, stopping=True)


class TestASHAThatStops(SchedulerContract):
    trials = 20

    def scheduler(self) -> Scheduler:
        return ASHA(eta=3, stopping=True)


class ByBruteForce:
    """Algorithm 2 of Li et al. 2020 with plain lists, replayed beside the events of a sweep."""

    def __init__(self, levels, eta, brackets=1, cycle=(0,)):
        self.levels, self.eta, self.cycle = levels, eta, cycle
        self.best, self.at = defaultdict(lambda: math.inf), {}
        self.rungs = [{level: {} for level in levels[bracket:]} for bracket in range(brackets)]
        self.promoted = [{level: set() for level in levels[bracket:]} for bracket in range(brackets)]
        self.ended = set()

    def bracket(self, trial):
        return self.cycle[trial % len(self.cycle)]

    def next_job(self):
        """Return (trial, budget) to promote, the highest rung first, or None for a new configuration."""
        for level, above in reversed(list(zip(self.levels, self.levels[1:], strict=False))):
            for rungs, promoted in zip(self.rungs, self.promoted, strict=True):
                rung = rungs.get(level, {})
                for trial in self.ranked(rung)[: int(len(rung) // self.eta)]:
                    if trial not in promoted[level] | self.ended:
                        return trial, above
        return None

    def ranked(self, rung):
        """Return the trials of a rung with a finite cost, best first."""
        return [trial for cost, trial in sorted((c, t) for t, c in rung.items()) if math.isfinite(cost)]

    def see(self, event):
        """Take in one event; where it is a job, check it first."""
        match event:
            case TrialStarted():
                assert self.next_job() is None
            case LegStarted() if event.leg == 0:
                assert event.budget == self.levels[self.bracket(event.trial)]
                self.at[event.trial] = event.budget
            case LegStarted():
                trial, above = self.next_job()
                assert (event.trial, event.budget) == (trial, above)
                self.promoted[self.bracket(trial)][self.at[trial]].add(trial)
                self.at[trial] = event.budget
            case Reported():
                value = event.values[0]
                cost = value if math.isfinite(value) else math.inf
                self.best[event.trial] = min(self.best[event.trial], cost)
                if event.step == self.at[event.trial]:
                    rung = self.rungs[self.bracket(event.trial)][event.step]
                    rung[event.trial] = self.best[event.trial] if math.isfinite(value) else math.inf
            case TrialEnded():
                self.ended.add(event.trial)
            case TrialPaused():
                assert event.step == self.at[event.trial]


@settings(max_examples=1000, deadline=None)
@given(
    st.integers(0, 10**9), st.sampled_from([2, 3, 4]), st.integers(1, 30), st.integers(1, 40), st.booleans()
)
def test_promotions_equal_brute_force(seed, eta, high, trials, in_brackets):
    schedule = ASHA(eta=eta).resolve(Budget(full=high))
    brackets = min(2, len(schedule.levels)) if in_brackets else 1
    schedule = ASHA(eta=eta, brackets=brackets)
    resolved = schedule.resolve(Budget(full=high))
    cycle = (0,) if brackets == 1 else resolved.shares[0].cycle
    history, events = random_sweeps.sweep(schedule, seed, trials=trials, max_budget=high)
    oracle = ByBruteForce(resolved.levels, eta, brackets, cycle)
    for event in events:
        oracle.see(event)
    assert oracle.next_job() is None  # nobody who could have been promoted was left behind
    assert all(trial.state in ("completed", "stopped", "failed") for trial in history)


class ByDomination(ByBruteForce):
    """The same with two objectives. One that was stopped at a rung must never have been wanted after all."""

    def ranked(self, rung):
        return random_sweeps.by_domination({trial: costs for trial, costs in rung.items() if costs})

    def see(self, event):
        match event:
            case Reported():
                if event.step == self.at[event.trial]:
                    finite = all(map(math.isfinite, event.values))
                    costs = (event.values[0], -event.values[1]) if finite else None
                    self.rungs[self.bracket(event.trial)][event.step][event.trial] = costs
            case TrialEnded():
                if event.state != "stopped":
                    self.ended.add(event.trial)
            case _:
                super().see(event)


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 10**9), st.sampled_from([2, 3]), st.integers(1, 30), st.integers(1, 60), st.booleans())
def test_promotions_of_several_objectives_equal_brute_force_by_domination(
    seed, eta, high, trials, in_brackets
):
    schedule = ASHA(eta=eta).resolve(Budget(full=high))
    brackets = min(2, len(schedule.levels)) if in_brackets else 1
    schedule = ASHA(eta=eta, brackets=brackets)
    resolved = schedule.resolve(Budget(full=high))
    cycle = (0,) if brackets == 1 else resolved.shares[0].cycle
    history, events = random_sweeps.sweep(schedule, seed, trials=trials, max_budget=high, mode=["min", "max"])
    oracle = ByDomination(resolved.levels, eta, brackets, cycle)
    for event in events:
        oracle.see(event)
    assert oracle.next_job() is None
    assert all(trial.state in ("completed", "stopped", "failed") for trial in history)


def test_those_that_too_many_dominate_are_stopped_at_once():
    history, _ = random_sweeps.sweep(
        ASHA(eta=3), 1, trials=40, max_budget=9, trouble=0.0, mode=["min", "max"]
    )
    first = min(trial.ended for trial in history if trial.state == "stopped")
    assert first < max(trial.started for trial in history)


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 10**9), st.sampled_from([2, 3]), st.integers(1, 30), st.integers(1, 40))
def test_the_stopping_variant_equals_brute_force(seed, eta, high, trials):
    schedule = ASHA(eta=eta, stopping=True)
    levels = schedule.resolve(Budget(full=high)).levels
    _, events = random_sweeps.sweep(schedule, seed, trials=trials, max_budget=high)
    decisions = {(e.trial, e.step): e for e in events if isinstance(e, Decided)}
    best, rungs = defaultdict(lambda: math.inf), {level: [] for level in levels[:-1]}
    for event in events:
        if not isinstance(event, Reported):
            continue
        value, decided = event.values[0], decisions.get((event.trial, event.step))
        if not math.isfinite(value):
            assert decided.reason.startswith("diverged")
        best[event.trial] = min(best[event.trial], value if math.isfinite(value) else math.inf)
        if event.step in rungs:
            failing = not math.isfinite(value)
            rungs[event.step].append((math.inf if failing else best[event.trial], event.trial))
        if event.step in rungs and math.isfinite(value):
            rung = sorted(rungs[event.step])
            place = rung.index((best[event.trial], event.trial))
            goes_on = place < max(1, len(rung) // eta)
            assert decided.action == ("continue" if goes_on else "stop")
        elif math.isfinite(value):
            assert decided is None


@pytest.mark.parametrize("workers", [1, 8, 64, 500])
def test_workers_are_busy(workers):
    """Algorithm 2 never waits: in virtual time, on runtimes that differ by a factor of ten."""
    executor = SimulatedExecutor(workers, lambda config: 0.3 + 2.7 * random_sweeps.chance(config["x"]))
    history = run_function(
        random_sweeps.SPACE,
        RandomSearch(),
        random_sweeps.curve_of(0),
        max_trials=100_000,
        max_budget=27.0,
        max_time=max(60, 2400 // workers) * 2,
        schedule=ASHA(eta=3),
        executor=executor,
    )
    assert executor.busy >= 0.95
    assert sum(trial.step == 27 for trial in history) > 0


def test_synchronous_halving_waits_where_asha_does_not():
    """The check above can fail: the same runtimes under synchronous halving."""
    from lightning_tune.schedule import SuccessiveHalving

    executor = SimulatedExecutor(64, lambda config: 0.3 + 2.7 * random_sweeps.chance(config["x"]))
    run_function(
        random_sweeps.SPACE,
        RandomSearch(),
        random_sweeps.curve_of(0),
        max_trials=64,
        max_budget=27.0,
        max_time=120,
        schedule=SuccessiveHalving(64, 1, 3),
        executor=executor,
    )
    assert executor.busy < 0.6


def test_no_more_than_max_paused_wait_at_a_rung():
    most = defaultdict(int)
    sweep = make_coordinator(
        random_sweeps.SPACE,
        RandomSearch(),
        max_trials=10_000,
        max_time=400,
        max_budget=27.0,
        schedule=ASHA(eta=3, max_paused=5),
    )

    def watch(event, history):
        if isinstance(event, TrialStarted | LegStarted):
            for level in (1.0, 3.0, 9.0):
                waiting = [n for _, n in history.rung(level).waiting if history.group(n).state == "paused"]
                most[level] = max(most[level], len(waiting))

    sweep.journal.listeners = [watch]
    from lightning_tune.testing.functions import FunctionWork

    SimulatedExecutor(4).run(sweep, FunctionWork(random_sweeps.curve_of(3)))
    stopped = [trial.reason for trial in sweep.history if trial.state == "stopped"]
    assert any("no more than 5 wait" in reason for reason in stopped)
    assert 0 < max(most.values()) <= 5


def test_those_that_cannot_be_promoted_any_more_are_stopped_at_once():
    """With nine trials at most three pass the first rung: the fourth best of those there is stopped early."""
    history = run_function(
        MIXED, RandomSearch(), bowl, max_trials=9, max_budget=9, schedule=ASHA(eta=3, max_paused=99)
    )
    first = min(trial.ended for trial in history if trial.state == "stopped")
    assert first < max(trial.started for trial in history)
    assert all(trial.ended is not None for trial in history)


@pytest.mark.parametrize(
    ("given", "full", "message"),
    [
        ({"eta": 1}, 27, "`eta` must be a number of at least 2"),
        ({"brackets": 0}, 27, "`brackets` must be an integer of at least 1"),
        ({"max_paused": 0}, 27, "`max_paused` must be an integer of at least 1"),
        (
            {"brackets": 9},
            27,
            r"`brackets` of ASHA must be at most the number of rungs, 4 \(1, 3, 9, 27\), got 9",
        ),
        ({"max_budget": 81}, 27, "`max_budget` of ASHA is 81, but the Trainer's `max_epochs` is 27"),
    ],
)
def test_wrong_settings_are_named(given, full, message):
    with pytest.raises(ArgumentError, match=message):
        ASHA(**given).resolve(Budget(full=full))


def test_the_stopping_variant_cannot_train_anew():
    with pytest.raises(ArgumentError, match="`stopping=True` of ASHA"):
        ASHA(stopping=True).resolve(Budget(grows="data", full=1.0))


@pytest.mark.parametrize(
    ("schedule", "trials", "sentence"),
    [
        (ASHA(), 27, "27 trials, rungs at 1, 3, 9, 27: about 81 epochs, at most 729 epochs"),
        (ASHA(), None, "trials, rungs at 1, 3, 9, 27, until the search or a limit ends it"),
        (
            ASHA(brackets=2),
            9,
            "9 trials, 2 brackets, rungs at 1, 3, 9, 27: about 35 epochs, at most 243 epochs",
        ),
    ],
)
def test_the_cost_is_said_before_it_starts(schedule, trials, sentence):
    assert schedule.resolve(Budget(full=27)).cost(trials, 1) == sentence
