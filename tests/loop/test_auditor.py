"""The coordinator of an audit alone, as an executor would use it."""

import math

import pytest

from lightning_tune import Float, Space
from lightning_tune.core.budget import Budget
from lightning_tune.core.decision import CONTINUE, Done
from lightning_tune.execute.base import LegEnd
from lightning_tune.loop.audit import AuditRow
from lightning_tune.loop.auditor import Auditor
from lightning_tune.search import RandomSearch
from lightning_tune.testing.functions import make_coordinator
from lightning_tune.track.screen import make_screen


def auditor_of(count=2, mode="min", target=1.0, min_delta=0.0, last=False):
    """Return an auditor of the first trials of a sweep."""
    space = Space({"x": Float(0, 1)})
    sweep = make_coordinator(space, RandomSearch(), max_trials=count, max_budget=9.0, mode=mode)
    sweep.next_jobs(count)
    stop = {"step": 1.0, "reason": "slow", "score": 2.0, "target": target}
    objective = sweep.history.objective
    return Auditor(
        history=sweep.history,
        budget=Budget(),
        full=9.0,
        min_delta=min_delta,
        last=last,
        left=[AuditRow(trial=number, **stop) for number in range(count)],
        screen=make_screen("none", space=space, objective=objective, max_trials=None, max_epochs=None),
    )


def judged(auditor, values, trial=0, **end):
    """Report values, end the trial, and return its row."""
    for step, value in enumerate(values, 1):
        auditor.report(trial, 0, float(step), (value,), {})
    given = {"step": 9.0, "kind": "completed", "reason": "trained 9 epochs", **end}
    auditor.finish(LegEnd(trial=trial, leg=0, **given))
    return auditor.rows.get(trial)


def test_every_trial_trains_from_nothing_to_the_full_budget():
    auditor = auditor_of(3)
    first, second = auditor.next_jobs(2)
    assert (first.trial, second.trial) == (0, 1)
    assert (first.budget, first.full_budget, first.leg, first.checkpoint) == (9.0, 9.0, 0, None)
    assert [job.trial for job in auditor.next_jobs(2)] == [2]
    assert isinstance(auditor.next_jobs(1), Done)
    assert auditor.keeps(0) is False


@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize(("last", "judge"), [(False, min), (True, lambda values: values[-1])])
@pytest.mark.parametrize("min_delta", [0.0, 0.25])
@pytest.mark.parametrize("values", [(3.0, 0.5, 0.875), (3.0, 1.0), (2.0, 0.5, 4.0), (0.5,)])
def test_a_value_must_beat_the_target_by_min_delta(mode, last, judge, min_delta, values):
    sign = 1.0 if mode == "min" else -1.0
    auditor = auditor_of(mode=mode, target=sign, min_delta=min_delta, last=last)
    row = judged(auditor, [sign * value for value in values])
    assert (row.value, row.wrong) == (sign * judge(values), judge(values) < 1.0 - min_delta)


def test_without_any_target_every_stop_was_wrong():
    assert judged(auditor_of(target=None), [5.0]).wrong is True


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_trial_that_diverges_is_ended_and_was_stopped_rightly(value):
    auditor = auditor_of(target=None)
    assert auditor.report(0, 0, 1.0, (0.5,), {}) == CONTINUE
    decision = auditor.report(0, 0, 2.0, (value,), {})
    assert decision.action == "stop"
    row = judged(auditor, [], step=2.0, kind="diverged", reason=decision.reason)
    assert (row.value, row.wrong, row.error) == (None, False, f"diverged: {value}")


@pytest.mark.parametrize(
    ("end", "early"),
    [
        ({"kind": "exception"}, False),
        ({"kind": "out_of_memory"}, False),
        ({"early": True, "step": 6.0}, True),
    ],
)
def test_one_that_does_not_get_there_is_not_judged(end, early):
    row = judged(auditor_of(), [0.1], reason="why", **end)
    assert (row.value, row.wrong, row.error, row.early) == (None, None, "why", early)


@pytest.mark.parametrize("kind", ["interrupted", "paused"])
def test_one_that_is_interrupted_is_no_row_and_no_more_are_handed_out(kind):
    auditor = auditor_of()
    auditor.next_jobs(1)
    assert auditor.poll(0) == CONTINUE
    auditor.interrupt("interrupted by Ctrl-C")
    assert (auditor.poll(0).action, auditor.poll(0).reason) == ("pause", "interrupted by Ctrl-C")
    assert judged(auditor, [0.1], kind=kind) is None
    assert auditor.next_jobs(1) == Done(reason="interrupted by Ctrl-C")
