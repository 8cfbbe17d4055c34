"""Runs of one sweep, each with a store of its own, as separate processes have them."""

import math
import os
import random

import pytest

from lightning_tune.callbacks.shared_run import SharedRun, best_of_others
from lightning_tune.callbacks.shared_sweep import join_sweep, schedule_for
from lightning_tune.core.events import (
    Decided,
    LegStarted,
    Reported,
    SessionOpened,
    StopRequested,
    TrialEnded,
    TrialPaused,
    TrialStarted,
)
from lightning_tune.core.history import History
from lightning_tune.core.objective import Objective
from lightning_tune.errors import StoreError, SweepBusyError
from lightning_tune.store import open_store


@pytest.fixture
def opened(tmp_path):
    """Give a function that opens a run as a process of its own would."""
    runs = []

    def make(eta=3, last=9):
        store, schedule = open_store(tmp_path / "sweep.db"), schedule_for(1, eta, None, last)
        record = join_sweep(store, "s", Objective.of("val_loss"), schedule)
        runs.append(SharedRun(store, "s", record.created, Objective.of("val_loss"), schedule))
        return runs[-1]

    yield make
    for run in runs:
        run.close()


def begun(run, **config):
    run.start(config, seed=7, budget=9.0)
    return run


def events(run):
    return list(run.store.read("s"))


def test_a_run_is_a_trial_with_its_configuration_and_where_it_runs(opened):
    run = opened()
    entry = run.start({"lr": 0.1}, seed=7, budget=9.0, checkpoint="warm.ckpt")
    assert (entry.trial, entry.resumed, entry.stopped) == (0, False, None)
    session, trial, leg = events(run)
    assert isinstance(session, SessionOpened)
    assert session.provenance["trial"] == 0
    assert session.provenance["process"] == os.getpid()
    assert isinstance(trial, TrialStarted)
    assert (trial.config, trial.seed, trial.group) == ({"lr": 0.1}, 7, 0)
    assert isinstance(leg, LegStarted)
    assert (leg.leg, leg.budget, leg.checkpoint) == (0, 9.0, "warm.ckpt")
    assert opened().start({}, 0, 9.0).trial == 1


def test_it_is_compared_with_what_others_had_reported_by_then(opened):
    first, second, third = begun(opened()), begun(opened()), begun(opened())
    assert first.report(1, 0.5, {"val_loss": 0.5}).action == "continue"
    worse = second.report(1, 0.6, {})
    assert (worse.action, worse.reason) == ("stop", "rung at 1 epoch: 2nd of 2, the best goes on")
    better = third.report(1, 0.4, {})
    assert (better.action, better.reason) == ("continue", "rung at 1 epoch: 1st of 3, the best goes on")
    assert first.report(2, 0.5, {}).reason == ""
    decisions = [event for event in events(first) if isinstance(event, Decided)]
    assert [(event.trial, event.action) for event in decisions] == [
        (0, "continue"),
        (1, "stop"),
        (2, "continue"),
    ]


def test_ties_go_to_the_lower_number_and_nan_never_goes_on(opened):
    runs = [begun(opened()) for _ in range(4)]
    assert runs[1].report(1, 0.5, {}).action == "continue"
    assert runs[2].report(1, 0.5, {}).action == "stop"
    assert runs[0].report(1, 0.5, {}).action == "continue"
    assert runs[3].report(1, math.nan, {"val_loss": math.nan}).reason == (
        "rung at 1 epoch: no score, the best goes on"
    )


def test_random_orders_of_reports_agree_with_brute_force(opened):
    """Nine runs, each with a store of its own, report in a random order; the oracle keeps plain lists."""
    rng = random.Random(4)
    runs = [begun(opened(eta=2, last=8)) for _ in range(9)]
    at, best, rungs = dict.fromkeys(range(9), 0), dict.fromkeys(range(9), math.inf), {1: [], 2: [], 4: []}
    while at:
        number = rng.choice(sorted(at))
        at[number] += 1
        step, loss = at[number], round(rng.random(), 1)
        best[number] = min(best[number], loss)
        action = runs[number].report(step, loss, {}).action
        expected = "continue"
        if step in rungs:
            rungs[step].append((best[number], number))
            place = sorted(rungs[step]).index((best[number], number))
            expected = "continue" if place < max(1, len(rungs[step]) // 2) else "stop"
        assert action == expected
        if action == "stop" or step == 8:
            del at[number]
    assert len(rungs[1]) == 9
    assert 0 < len(rungs[4]) < len(rungs[1])


def test_a_user_may_stop_it_from_elsewhere(opened):
    run = begun(opened())
    run.store.append("s", [StopRequested(trial=0, reason="stopped by hand", time=1.0)])
    decision = run.report(2, 0.5, {})
    assert (decision.action, decision.reason) == ("stop", "stopped by hand")


def test_a_resumed_run_has_its_recorded_decisions_again_and_reports_nothing_twice(opened):
    first = begun(opened())
    decisions = [first.report(step, 1 / step, {}) for step in (1, 2, 3, 4)]
    again = opened()
    entry = again.resume(0, 9.0, "last.ckpt")
    assert (entry.trial, entry.resumed, entry.stopped) == (0, True, None)
    before = len(events(again))
    assert [again.report(step, 99.0, {}) for step in (3, 4)] == decisions[2:]
    assert len(events(again)) == before
    assert again.report(5, 0.1, {}).action == "continue"
    reports = [(event.leg, event.step) for event in events(again) if isinstance(event, Reported)]
    assert reports == [(0, 1), (0, 2), (0, 3), (0, 4), (1, 5)]


def test_a_run_that_was_stopped_stays_so(opened):
    first, second = begun(opened()), begun(opened())
    first.report(1, 0.1, {})
    reason = second.report(1, 0.2, {}).reason
    second.end("stopped", 1.0, reason)
    before = len(events(first))
    assert opened().resume(1, 9.0).stopped == reason
    assert len(events(first)) == before


def test_one_that_died_between_the_decision_and_its_end_is_ended_when_it_comes_back(opened):
    first, second = begun(opened()), begun(opened())
    first.report(1, 0.1, {})
    reason = second.report(1, 0.2, {}).reason
    assert opened().resume(1, 9.0).stopped == reason
    ended = events(first)[-1]
    assert isinstance(ended, TrialEnded)
    assert (ended.trial, ended.state, ended.step, ended.reason) == (1, "stopped", 1.0, reason)


def test_one_checkpoint_goes_on_in_one_process(opened):
    first = begun(opened())
    first.report(1, 0.5, {})
    second = opened()
    second.resume(0, 9.0)
    with pytest.raises(SweepBusyError, match="trial 0 of sweep 's' is being trained by another process"):
        first.report(2, 0.4, {})
    first.end("failed", 1.0, "never recorded: it is no longer its trial")
    assert second.report(2, 0.4, {}).action == "continue"
    assert not [event for event in events(second) if isinstance(event, TrialEnded)]


def test_the_first_word_on_how_it_ended_stands(opened):
    run = begun(opened())
    run.report(1, 0.5, {})
    run.interrupt(1.0, "interrupted (KeyboardInterrupt)")
    run.end("completed", 1.0, "too late")
    ends = [event for event in events(run) if isinstance(event, TrialEnded | TrialPaused)]
    assert [(type(event), event.step, event.reason) for event in ends] == [
        (TrialPaused, 1.0, "interrupted (KeyboardInterrupt)")
    ]
    again = opened()
    assert again.resume(0, 9.0).resumed
    again.end("completed", 9.0, "trained 9 epochs")
    assert events(again)[-1].leg == 1


def test_a_store_that_fails_is_an_error_and_decides_nothing(opened):
    run = begun(opened())
    run.store.close()
    with pytest.raises(StoreError):
        run.report(1, 0.5, {})
    other = opened()
    assert not [event for event in events(other) if isinstance(event, Reported | Decided)]


@pytest.mark.parametrize("mode", ["min", "max"])
def test_the_best_of_others_is_what_they_had_reported_by_then(mode):
    """Random reports of five trials in a random order; the oracle keeps plain lists."""
    rng, history, seq = random.Random(5), History(Objective.of("v", mode)), 0
    started = {"seed": 0, "config": {}, "space_version": 0, "origin": "enqueued", "time": 0.0}
    for number in range(5):
        history.extend([TrialStarted(trial=number, group=number, seq=number + 1, **started)])
    told, seq = [], 5
    for step in range(1, 41):
        number, seq = rng.randrange(5), seq + 1
        value = rng.choice([round(rng.random(), 2), math.nan, math.inf, -math.inf])
        history.extend([Reported(number, 0, step, (value,), 0.0, seq=seq)])
        told.append((number, value))
    pick = min if mode == "min" else max
    for row in range(40):
        for number in range(5):
            others = [value for trial, value in told[:row] if trial != number and math.isfinite(value)]
            assert best_of_others(history, number, row) == (pick(others) if others else None)


def test_a_run_knows_what_others_had_when_it_reported(opened):
    first, second = begun(opened()), begun(opened())
    first.report(1, 0.5, {})
    second.report(2, 0.3, {})
    first.report(2, 0.4, {})
    second.report(3, 0.1, {})
    again = opened()
    again.resume(0, 9.0)
    assert [again.best_of_others(step) for step in (1, 2)] == [None, 0.3]
