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
