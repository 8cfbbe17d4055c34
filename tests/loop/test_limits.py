import math
from datetime import timedelta

import pytest

from lightning_tune.core.events import LegStarted, Reported, TrialEnded, TrialStarted
from lightning_tune.core.history import History
from lightning_tune.core.objective import Objective
from lightning_tune.errors import ArgumentError
from lightning_tune.loop.limits import Limits, seconds


def history_of(scores, mode="max"):
    """One finished trial a score; None is a failed trial."""
    history, seq = History(Objective.of("acc", mode)), 0
    for number, score in enumerate(scores):
        events = [
            lambda seq, n=number: TrialStarted(
                trial=n, group=n, config={"x": n}, seed=0, space_version=1, origin="search", time=n, seq=seq
            ),
            lambda seq, n=number: LegStarted(trial=n, leg=0, budget=1, time=n, seq=seq),
            lambda seq, n=number, s=score: Reported(n, 0, 1.0, (math.nan if s is None else s,), n, "{}", seq),
            lambda seq, n=number, s=score: TrialEnded(
                trial=n,
                leg=0,
                step=1,
                state="failed" if s is None else "completed",
                reason="",
                time=n,
                seq=seq,
            ),
        ]
        for make in events:
            seq += 1
            history.extend([make(seq)])
    return history


def limits(**given):
    defaults = {"max_trials": None, "max_time": None, "target": None, "patience": None, "min_delta": 0.0}
    return Limits.of(**{**defaults, **given})


@pytest.mark.parametrize(
    ("duration", "expected"),
    [
        (90, 90.0),
        (0.5, 0.5),
        (timedelta(minutes=2), 120.0),
        ("01:02:03:04", 93784.0),
        ({"hours": 1, "minutes": 1}, 3660.0),
    ],
)
def test_durations_are_trainers(duration, expected):
    assert seconds(duration) == expected


@pytest.mark.parametrize("duration", [0, -1, "1h", {"hour": 1}, True, math.inf, [], timedelta(0)])
def test_wrong_durations_teach(duration):
    with pytest.raises(ArgumentError, match="`max_time` must be positive"):
        seconds(duration)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"max_trials": 0}, "`max_trials` must be an integer of at least 1, or None, got 0"),
        ({"max_trials": 2.0}, "`max_trials`"),
        ({"max_trials": True}, "`max_trials`"),
        ({"patience": 0}, "`patience`"),
        ({"target": math.nan}, "`target` must be a finite number"),
        ({"min_delta": -0.1}, "`min_delta`"),
    ],
)
def test_wrong_limits_name_the_argument(given, message):
    with pytest.raises(ArgumentError, match=message):
        limits(**given)


def test_max_trials_counts_failed_ones():
    assert limits(max_trials=2).more(history_of([0.5, None])) == 0
    assert limits(max_trials=3).more(history_of([0.5, None])) == 1
    assert limits(max_trials=1).more(history_of([0.5, None])) == 0
    assert limits().more(history_of([])) == math.inf


def test_time_is_this_calls():
    assert "max_time of 0:01:00 is over" in limits(max_time=60).over(history_of([]), 60.0)
    assert limits(max_time=60).over(history_of([]), 59.0) is None


@pytest.mark.parametrize(("mode", "target"), [("max", 0.9), ("min", 0.2)])
def test_target_in_the_users_direction(mode, target):
    history = history_of([0.5, target], mode)
    assert f"target {target:g} reached" in limits(target=target).over(history, 0)
    assert limits(target=target).over(history_of([0.5], mode), 0) is None


@pytest.mark.parametrize(
    ("scores", "min_delta", "without"),
    [
        ([0.5, 0.4, 0.3], 0.0, 2),
        ([0.5, 0.6, 0.6], 0.0, 1),
        ([0.5, 0.55, 0.58], 0.1, 2),
        ([None, None], 0.0, 2),
        ([None, 0.1], 0.0, 0),
    ],
)
def test_patience_counts_configurations_without_improvement(scores, min_delta, without):
    history = history_of(scores)
    assert limits(patience=without + 1, min_delta=min_delta).over(history, 0) is None
    if without:
        assert f"last {without} trials" in limits(patience=without, min_delta=min_delta).over(history, 0)


def test_a_target_and_patience_need_one_number_a_trial():
    several, one = Objective.of(["loss", "size"]), Objective.of(["loss", "size"], score=sum)
    given = {"max_trials": 3, "max_time": None, "target": None, "patience": None, "min_delta": 0.1}
    Limits.of(**given).check(several)
    for name in ("target", "patience"):
        limits = Limits.of(**{**given, name: 2})
        limits.check(one)
        with pytest.raises(
            ArgumentError, match=f"`{name}=2` needs one number a trial, and there are 2 objectives"
        ):
            limits.check(several)


def test_with_several_objectives_the_other_limits_hold():
    history = History(Objective.of(["loss", "size"]))
    assert Limits(max_trials=3).over(history, 5.0) is None
    assert Limits(max_time_s=4.0).over(history, 5.0) == "max_time of 0:00:04 is over"
