import math

import pytest

from lightning_tune.core.events import LegStarted, Reported, TrialEnded, TrialStarted
from lightning_tune.core.history import History
from lightning_tune.core.objective import Objective


def history_of(states, repeats):
    """One group whose members are in the given states, with 1.0, 2.0, ... as scores."""
    history, seq = History(Objective.of("loss", "max"), repeats), 0
    for number, state in enumerate(states):
        events = [
            lambda seq, n=number: TrialStarted(
                trial=n, group=0, config={"x": 1}, seed=n, space_version=1, origin="search", time=0.0, seq=seq
            )
        ]
        if state != "waiting":
            events.append(lambda seq, n=number: LegStarted(trial=n, leg=0, budget=4.0, time=0.0, seq=seq))
            events.append(lambda seq, n=number: Reported(n, 0, 1.0, (n + 1.0,), 0.0, '{"a": 0.5}', seq))
        if state not in ("waiting", "running"):
            events.append(
                lambda seq, n=number, s=state: TrialEnded(
                    trial=n, leg=0, step=1.0, state=s, reason="", time=1.0, seq=seq
                )
            )
        for make in events:
            seq += 1
            history.extend([make(seq)])
    return history


@pytest.mark.parametrize(
    ("states", "repeats", "expected"),
    [
        (["completed"], 1, "completed"),
        (["completed", "completed"], 2, "completed"),
        (["completed"], 2, "running"),
        (["completed", "running"], 2, "running"),
        (["stopped", "completed"], 2, "stopped"),
        (["failed", "completed"], 2, "failed"),
        (["failed"], 2, "failed"),
        (["waiting"], 1, "waiting"),
    ],
)
def test_the_state_of_a_group(states, repeats, expected):
    group = history_of(states, repeats).group(0)
    assert group.state == expected
    assert group.ended == (expected in ("completed", "stopped", "failed"))


def test_a_trial_tells_what_it_knows():
    trial = history_of(["completed"], 1).trials[0]
    assert (trial.score, trial.cost, trial.best_step, trial.budget, trial.leg) == (1.0, -1.0, 1.0, 4.0, 0)
    assert trial.metrics == {"a": 0.5}
    assert trial.reports[0].value == 1.0
    assert "completed, score 1" in repr(trial)


def test_a_trial_without_reports_has_no_score():
    trial = history_of(["waiting"], 1).trials[0]
    assert (trial.score, trial.best_step, trial.budget, trial.leg) == (None, None, 0.0, -1)
    assert math.isinf(trial.cost)
    assert trial.metrics == {}
    assert "no score" in repr(trial)


def test_the_cost_of_a_group_is_the_mean_once_it_is_complete():
    assert history_of(["completed", "completed"], 2).group(0).cost == -1.5
    assert math.isinf(history_of(["completed"], 2).group(0).cost)
    assert history_of(["completed"], 2).group(0).cost_so_far == -1.0
    assert math.isinf(history_of(["completed", "failed"], 2).group(0).cost)
    assert history_of(["completed"], 1).group(0).stderr is None


def several(*rows, repeats=1, score="best", anew=False, state=None):
    """One group of several objectives, whose members report the rows given for each, leg by leg."""
    history, seq = History(Objective.of(["loss", "acc"], ["min", "max"], score), repeats, anew=anew), 0
    for number, legs in enumerate(rows):
        events = [
            TrialStarted(
                trial=number,
                group=0,
                config={},
                seed=0,
                space_version=1,
                origin="search",
                time=0.0,
                seq=seq + 1,
            )
        ]
        for leg, reports in enumerate(legs):
            events.append(LegStarted(trial=number, leg=leg, budget=9.0, time=0.0, seq=seq + len(events) + 1))
            for step, values in enumerate(reports, 1):
                events.append(Reported(number, leg, float(step), values, 0.0, "{}", seq + len(events) + 1))
        if state is not None:
            last = seq + len(events) + 1
            events.append(
                TrialEnded(trial=number, leg=0, step=9.0, state=state, reason="", time=0.0, seq=last)
            )
        seq += len(events)
        history.extend(events)
    return history


@pytest.mark.parametrize("score", ["best", "last"])
def test_with_several_objectives_the_last_finite_report_is_the_score(score):
    history = several([[(0.1, 0.9), (0.5, 0.75), (math.nan, 0.99), (0.2, math.inf)]], score=score)
    trial = history.trials[0]
    assert (trial.costs, trial.scores, trial.best_step) == ((0.5, -0.75), (0.5, 0.75), 2.0)
    assert (trial.score, trial.cost) == (None, math.inf)
    assert "running, score 0.5, 0.75" in repr(trial)
    assert history.group(0).costs == (0.5, -0.75)


def test_with_one_objective_costs_are_a_tuple_of_the_cost():
    trial = history_of(["completed"], 1).trials[0]
    assert (trial.costs, trial.scores) == ((-1.0,), (1.0,))
    assert history_of(["waiting"], 1).trials[0].costs is None
    group = history_of(["completed", "completed"], 2).group(0)
    assert group.costs == (group.cost,)
    assert group.stderrs == (group.stderr,) == (pytest.approx(0.5),)


def test_a_failed_trial_has_no_costs_but_what_it_had_reported():
    trial = several([[(0.5, 0.75)]], state="failed").trials[0]
    assert (trial.costs, trial.scores) == (None, (0.5, 0.75))
    trial = several([[]]).trials[0]
    assert (trial.costs, trial.scores) == (None, ())


def test_where_legs_train_anew_the_newest_leg_counts_alone():
    assert several([[(0.5, 0.75)], [(0.7, 0.5)]], anew=True).trials[0].scores == (0.7, 0.5)
    assert several([[(0.5, 0.75)], [(math.nan, 0.5)]], anew=True).trials[0].costs is None


def test_the_costs_of_repeats_are_means_with_standard_errors():
    history = several([[(1.0, 0.5)]], [[(4.0, 0.75)]], repeats=2)
    group = history.group(0)
    assert group.costs == (2.5, -0.625)
    assert group.stderrs == (pytest.approx(1.5), pytest.approx(0.125))
    assert group.stderr is None
    missing = several([[(1.0, 0.5)]], repeats=2).group(0)
    assert (missing.costs, missing.costs_so_far, missing.stderrs) == (None, (1.0, -0.5), ())


def test_the_best_of_repeats_is_the_best_compromise():
    rows = [[[(0.0, 0.0)]], [[(0.25, 0.75)]], [[(1.0, 1.0)]]]
    assert several(*rows, repeats=3).group(0).best_member.number == 1
    assert several([[]], [[]], repeats=2).group(0).best_member.number == 0
