import dataclasses

import pytest

from lightning_tune.core.decision import CONTINUE, Decision, Start


def test_going_on_needs_no_reason():
    assert Decision(action="continue") == CONTINUE
    assert CONTINUE.reason == ""


def test_jobs_and_decisions_are_values():
    assert Start(budget=1.0) == Start(budget=1.0)
    with pytest.raises(dataclasses.FrozenInstanceError):
        CONTINUE.action = "stop"
