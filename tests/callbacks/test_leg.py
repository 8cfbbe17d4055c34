import math

import pytest

from lightning_tune.callbacks.leg import Leg
from lightning_tune.core.decision import CONTINUE, Decision
from lightning_tune.core.objective import Objective


class Channel:
    def __init__(self, answer=CONTINUE):
        self.answer = answer

    def report(self, *args):
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def poll(self, trial):
        return self.report()


def leg(channel):
    return Leg(
        trial=0,
        leg=0,
        budget=3.0,
        objective=Objective.of("loss"),
        channel=channel,
        resumed=False,
        save_due=lambda: False,
        accepts=lambda state: True,
        write=lambda kind, step, state: None,
    )


@pytest.mark.parametrize(
    ("asked", "ending"),
    [
        (["save", "pause"], "pause"),
        (["pause", "save"], "pause"),
        (["stop", "pause"], "stop"),
        (["save", "stop"], "stop"),
    ],
)
def test_the_weightier_ending_wins(asked, ending):
    training = leg(Channel())
    for kind in asked:
        training.end(kind, f"reason of {kind}")
    assert (training.ending, training.reason) == (ending, f"reason of {ending}")


def test_a_report_takes_the_decision_and_the_step():
    training = leg(Channel(Decision(action="pause", reason="rung 1")))
    training.report(2.0, (0.5,), {})
    assert (training.ending, training.reason, training.step, training.diverged) == (
        "pause",
        "rung 1",
        2.0,
        False,
    )


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_divergence_is_noticed(value):
    training = leg(Channel())
    training.report(1.0, (value,), {})
    assert training.diverged


def test_an_error_of_the_coordinator_is_not_the_trials():
    error = OSError("disk full")
    training = leg(Channel(error))
    with pytest.raises(OSError, match="disk full"):
        training.poll()
    assert training.fault is error
