import pytest

from lightning_tune.core.history import History
from lightning_tune.core.objective import Objective
from lightning_tune.errors import ArgumentError, MonitorError, SweepFailedError
from lightning_tune.execute import LegEnd
from lightning_tune.loop.failures import FailurePolicy

NOTHING = History(Objective.of("acc"))


def play(policy, *kinds):
    """Return after how many trials the sweep ends, or None."""
    for number, kind in enumerate(kinds, 1):
        try:
            policy.check(LegEnd(trial=number, leg=0, step=0.0, kind=kind, reason="why"), NOTHING)
        except SweepFailedError:
            return number
    return None


@pytest.mark.parametrize(
    ("max_failures", "max_trials", "expected"), [(None, None, 3), (None, 20, 3), (None, 64, 6), (0, 64, 0)]
)
def test_the_default_is_the_larger_of_three_and_a_tenth(max_failures, max_trials, expected):
    assert FailurePolicy.of(max_failures, max_trials).max_failures == expected


@pytest.mark.parametrize(
    ("max_failures", "kinds", "ends"),
    [
        (9, ["exception"] * 3, 3),
        (9, ["completed", "exception", "exception", "exception"], None),
        (2, ["completed", "exception", "exception", "exception"], 4),
        (0, ["exception"], 1),
        (0, ["diverged", "out_of_memory", "stopped", "completed"], None),
    ],
)
def test_only_exceptions_count(max_failures, kinds, ends):
    assert play(FailurePolicy.of(max_failures, 100), *kinds) == ends


def test_the_cause_is_chained():
    cause = ValueError("the cause")
    end = LegEnd(
        trial=0, leg=0, step=0.0, kind="exception", reason="why", error="Traceback ...", exception=cause
    )
    with pytest.raises(SweepFailedError, match="why") as failed:
        FailurePolicy.of(0, 1).check(end, NOTHING)
    assert failed.value.__cause__ is cause
    assert "Traceback ..." in str(failed.value)


def test_a_monitor_that_nothing_ever_logged_is_the_users_mistake():
    end = LegEnd(trial=0, leg=0, step=1.0, kind="unmonitored", reason="`monitor='x'` was never logged.")
    with pytest.raises(MonitorError, match="never logged"):
        FailurePolicy.of(9, 9).check(end, NOTHING)


@pytest.mark.parametrize("wrong", [-1, 1.5, True, "3"])
def test_wrong_numbers_are_refused(wrong):
    with pytest.raises(ArgumentError, match="`max_failures` must be an integer of at least 0"):
        FailurePolicy.of(wrong, None)
