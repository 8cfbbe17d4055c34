import dataclasses

import pytest

from lightning_tune.core.decision import CONTINUE, Decision, Start, budget_reached


def test_going_on_needs_no_reason():
    assert Decision(action="continue") == CONTINUE
    assert CONTINUE.reason == ""


def test_jobs_and_decisions_are_values():
    assert Start(budget=1.0) == Start(budget=1.0)
    with pytest.raises(dataclasses.FrozenInstanceError):
        CONTINUE.action = "stop"


@pytest.mark.parametrize(("budget", "reason"), [(3.0, "reached 3 epochs"), (0.5, "reached 0.5 epochs")])
def test_the_end_of_a_leg_in_words(budget, reason):
    assert budget_reached(budget) == reason
