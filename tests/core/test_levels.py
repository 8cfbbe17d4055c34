"""When a level is reached and what was scored by then, against brute force over the events."""

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lightning_tune.core.events import LegStarted, Reported, TrialEnded, TrialPaused, TrialStarted
from lightning_tune.core.history import History
from lightning_tune.core.objective import Objective
from lightning_tune.errors import ArgumentError

LEVELS = (1.0, 3.0, 9.0)


def make(history):
    """Return a function that folds one event of a kind into a history."""

    def fold(kind, **fields):
        if kind is Reported:
            values = (fields["value"], -2 * fields["value"])[: len(history.objective.monitor)]
            event = Reported(fields["trial"], fields["leg"], fields["step"], values, 0.0, "{}")
            history.extend([event._replace(seq=history.seq + 1)])
        else:
            history.extend([kind(**fields, time=0.0, seq=history.seq + 1)])

    return fold


def start(fold, trial, budget, group=None):
    group = trial if group is None else group
    fold(
        TrialStarted, trial=trial, group=group, config={"x": trial}, seed=0, space_version=1, origin="search"
    )
    fold(LegStarted, trial=trial, leg=0, budget=budget)


def play(rng, history):
    """Play a random sweep under rungs, with ends of every kind; return a plain account of it."""
    fold, account = make(history), {}
    for trial in range(rng.randint(1, 8)):
        start(fold, trial, LEVELS[0])
        account[trial] = {"legs": [], "state": "running", "step": 0.0}
    for trial, told in account.items():
        for leg, level in enumerate(LEVELS):
            if leg:
                fold(LegStarted, trial=trial, leg=leg, budget=level)
            told["legs"].append((level, []))
            end = rng.choice(["pause", "pause", "pause", "completed", "failed", "stopped"])
            last = level if end == "pause" else rng.uniform(told["step"], level)
            steps = sorted({rng.uniform(told["step"], last) for _ in range(rng.randint(0, 3))} | {last})
            for step in steps if rng.random() < 0.9 else []:
                value = rng.choice([rng.random(), rng.random(), math.nan])
                fold(Reported, trial=trial, leg=leg, step=step, value=value)
                told["legs"][-1][1].append((step, value))
            told["step"] = last
            if end == "pause":
                fold(TrialPaused, trial=trial, leg=leg, step=last, reason="rung")
                told["state"] = "paused"
                if rng.random() < 0.4:
                    break
            else:
                fold(TrialEnded, trial=trial, leg=leg, step=last, state=end, reason="why")
                told["state"] = end
                break
    return account


def expected(told, level, score):
    """Return whether a trial reached a level, and its cost there."""
    budgets = [budget for budget, _ in told["legs"]]
    if not (told["step"] >= level or (told["state"] == "completed" and budgets[-1] >= level)):
        return False, None
    leading = next((place for place, budget in enumerate(budgets) if budget >= level), len(budgets) - 1)
    if told["state"] == "failed" and leading == len(budgets) - 1 and told["step"] <= level:
        return True, math.inf
    seen = []
    for step, value in [report for _, reports in told["legs"][: leading + 1] for report in reports]:
        seen.append(value if math.isfinite(value) else math.inf)
        if step >= level:
            break
    if not seen or (step >= level and not math.isfinite(value)):  # none, or it diverged there
        return True, math.inf
    if score == "several":
        return True, [math.inf, *(cost for cost in seen if math.isfinite(cost))][-1]
    return True, seen[-1] if score == "last" else min(seen)


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 10**9), st.sampled_from(["best", "last"]), st.booleans())
def test_rungs_equal_brute_force_whenever_they_are_made(seed, score, early):
    rng = random.Random(seed)
    history = History(Objective.of("loss", "min", score))
    rungs = {level: history.rung(level) for level in LEVELS} if early else {}
    account = play(rng, history)
    for level in LEVELS:
        rung = rungs.get(level) or history.rung(level)
        reached = {trial: expected(told, level, score) for trial, told in account.items()}
        ranked = sorted((cost, trial) for trial, (there, cost) in reached.items() if there)
        assert rung.ranked == ranked
        waiting = [
            entry
            for entry in ranked
            if account[entry[1]]["state"] == "paused" and account[entry[1]]["legs"][-1][0] <= level
        ]
        assert rung.waiting == waiting


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 10**9), st.booleans())
def test_with_several_objectives_a_rung_holds_the_costs_of_the_last_finite_report(seed, early):
    rng = random.Random(seed)
    history = History(Objective.of(["loss", "latency"]))
    rungs = {level: history.rung(level) for level in LEVELS} if early else {}
    account = play(rng, history)
    for level in LEVELS:
        rung = rungs.get(level) or history.rung(level)
        reached = {trial: expected(told, level, "several") for trial, told in account.items()}
        there = {trial: cost for trial, (is_there, cost) in reached.items() if is_there}
        wanted = {trial: None if math.isinf(cost) else (cost, -2 * cost) for trial, cost in there.items()}
        assert {number: rung.costs(number) for _, number in rung.ranked} == wanted
        assert {number: history.costs_at(history.group(number), level) for number in wanted} == wanted
        assert [number for cost, number in rung.ranked if math.isinf(cost)] == sorted(
            number for number, costs in wanted.items() if costs is None
        )


def test_several_objectives_have_no_single_cost():
    history = History(Objective.of(["loss", "latency"]))
    start(make(history), 0, 1.0)
    with pytest.raises(ArgumentError, match="use `costs_at`"):
        history.cost_at(history.group(0), 1.0)


def test_the_costs_of_repeats_are_their_mean_in_each_objective():
    history = History(Objective.of(["loss", "latency"]), repeats=2)
    fold = make(history)
    for trial, value in enumerate((1.0, 4.0)):
        start(fold, trial, 1.0, group=0)
        fold(Reported, trial=trial, leg=0, step=0.5, value=9.0)
        fold(Reported, trial=trial, leg=0, step=1.0, value=value)
    assert history.rung(1.0).costs(0) == (2.5, -5.0)
    assert history.rung(1.0, measure="mean").costs(0) == (5.75, -11.5)


def test_a_report_past_the_level_counts_where_the_trial_trained_through():
    history = History(Objective.of("loss"))
    fold = make(history)
    start(fold, 0, 9.0)
    for step, value in ((2.0, 5.0), (4.0, 1.0), (6.0, 0.5)):
        fold(Reported, trial=0, leg=0, step=step, value=value)
    assert history.rung(3.0).ranked == [(1.0, 0)]


def test_where_the_trial_paused_only_what_was_known_then_counts():
    history = History(Objective.of("loss"))
    fold = make(history)
    start(fold, 0, 3.0)
    fold(Reported, trial=0, leg=0, step=2.0, value=5.0)
    fold(TrialPaused, trial=0, leg=0, step=3.0, reason="rung")
    fold(LegStarted, trial=0, leg=1, budget=9.0)
    fold(Reported, trial=0, leg=1, step=4.0, value=1.0)
    assert history.rung(3.0).ranked == [(5.0, 0)]


def test_a_group_of_repeats_is_there_when_all_are_with_the_mean():
    history = History(Objective.of("loss"), repeats=2)
    fold, rung = make(history), history.rung(1.0)
    start(fold, 0, 1.0)
    fold(Reported, trial=0, leg=0, step=1.0, value=1.0)
    assert len(rung) == 0
    start(fold, 1, 1.0, group=0)
    assert len(rung) == 0
    fold(Reported, trial=1, leg=0, step=1.0, value=4.0)
    assert rung.ranked == [(2.5, 0)]


def test_where_legs_train_anew_the_leg_of_the_level_counts_alone():
    history = History(Objective.of("loss"), anew=True)
    fold = make(history)
    start(fold, 0, 0.5)
    fold(Reported, trial=0, leg=0, step=0.5, value=1.0)
    fold(TrialPaused, trial=0, leg=0, step=0.5, reason="rung")
    fold(LegStarted, trial=0, leg=1, budget=1.0)
    for step, value in ((0.5, 7.0), (1.0, 3.0)):
        fold(Reported, trial=0, leg=1, step=step, value=value)
    assert history.rung(0.5).ranked == [(1.0, 0)]
    assert history.rung(1.0).ranked == [(3.0, 0)]


def test_the_running_mean_is_over_all_reports_up_to_the_level():
    history = History(Objective.of("acc", "max"))
    fold = make(history)
    start(fold, 0, 9.0)
    for step, value in ((1.0, 0.25), (2.0, 0.75), (3.0, 8.0)):
        fold(Reported, trial=0, leg=0, step=step, value=value)
    assert history.rung(2.0, measure="mean").ranked == [(pytest.approx(-0.5), 0)]


def test_a_repeat_that_ended_short_of_a_level_holds_its_place_where_its_sibling_goes_on():
    history = History(Objective.of("loss"), repeats=2)
    fold, rung = make(history), history.rung(3.0)
    start(fold, 0, 1.0)
    start(fold, 1, 1.0, group=0)
    fold(Reported, trial=0, leg=0, step=1.0, value=1.0)
    fold(TrialEnded, trial=0, leg=0, step=1.0, state="completed", reason="early")
    fold(Reported, trial=1, leg=0, step=1.0, value=2.0)
    fold(TrialPaused, trial=1, leg=0, step=1.0, reason="rung")
    assert history.rung(1.0).waiting == [(1.5, 0)]
    fold(LegStarted, trial=1, leg=1, budget=3.0)
    fold(Reported, trial=1, leg=1, step=3.0, value=0.0)
    assert rung.ranked == [(0.5, 0)]
