"""How a leg ended, in words."""

import pytest
import torch

from lightning_tune.callbacks.leg import Leg
from lightning_tune.core.budget import Budget
from lightning_tune.core.objective import Objective
from lightning_tune.errors import MonitorError
from lightning_tune.execute.base import Assignment, LegEnd
from lightning_tune.loop.endings import end_of_error, ended_by_trainer


def leg_of(budget=9.0, step=3.0, final=True, measure=None, by="", why="", epochs=3.0, max_epochs=3):
    leg = Leg(
        trial=1,
        leg=0,
        budget=budget,
        measure=measure or Budget(),
        final=final,
        objective=Objective.of("loss"),
        channel=None,
        resumed=False,
        save_due=lambda: False,
        accepts=lambda state: True,
        write=lambda kind, step, state: None,
        step=step,
        ended_by=by,
        ended_why=why,
    )
    leg.progress.epochs, leg.progress.max_epochs = epochs, max_epochs
    return leg


def ended(leg):
    end = ended_by_trainer(leg, LegEnd(trial=1, leg=0, step=leg.step, kind="completed", reason="trained"))
    return end.kind, end.step, end.reason


DATA = Budget(grows="data", full=1.0)


@pytest.mark.parametrize(
    ("given", "end"),
    [
        ({}, ("completed", 3.0, "its Trainer ended it at epoch 3 of 9")),
        ({"by": "EarlyStopping"}, ("completed", 3.0, "EarlyStopping ended it at epoch 3 of 9")),
        (
            {"by": "EarlyStopping", "why": "no better", "max_epochs": 9},
            ("completed", 3.0, "EarlyStopping ended it at epoch 3 of 9: no better"),
        ),
        ({"step": 9.0}, ("completed", 9.0, "trained")),
        ({"budget": float("inf")}, ("completed", 3.0, "trained")),
        (
            {"step": 320.0, "budget": 1000.0, "measure": Budget(unit="steps")},
            ("completed", 320.0, "its Trainer ended it at 320 of 1000 steps"),
        ),
        ({"budget": 0.25, "final": False, "measure": DATA}, ("paused", 0.25, "reached 25% of the data")),
        ({"budget": 1.0, "measure": DATA}, ("completed", 1.0, "reached 100% of the data")),
        (
            {"budget": 0.25, "final": False, "measure": DATA, "epochs": 2.0, "by": "Stops", "why": "so"},
            ("paused", 0.25, "Stops ended it at epoch 2 of 3, with 25% of the data: so"),
        ),
    ],
)
def test_a_leg_that_its_trainer_ended_says_where(given, end):
    assert ended(leg_of(**given)) == end


@pytest.mark.parametrize(
    ("given", "early"),
    [
        ({"max_epochs": 9}, True),
        ({"max_epochs": 3}, False),  # the Trainer's own last epoch, below the budget
        ({"max_epochs": 12, "step": 9.0, "epochs": 9.0}, False),
        ({"max_epochs": 3, "epochs": 2.0, "budget": 1.0, "measure": DATA}, True),
        ({"max_epochs": 3, "budget": 1.0, "measure": DATA}, False),
        ({"max_epochs": 9, "step": 320.0, "budget": 1000.0, "measure": Budget(unit="steps")}, True),
    ],
)
def test_a_leg_that_something_else_cut_short_is_early(given, early):
    leg = leg_of(**given)
    end = LegEnd(trial=1, leg=0, step=leg.step, kind="completed", reason="trained")
    assert ended_by_trainer(leg, end).early is early


def failed(error, inherited=False, began=True):
    leg = leg_of()
    if began:
        leg.progress.begin()
    task = Assignment(trial=1, group=1, leg=0, config={}, seed=0, budget=9.0, inherited=inherited)
    end = end_of_error(error, task, leg)
    return end.kind, end.reason


def test_errors_are_told_apart():
    assert failed(ValueError("bad\nluck")) == ("exception", "ValueError: bad")
    assert failed(MonitorError("never")) == ("unmonitored", "never")
    assert failed(torch.OutOfMemoryError("CUDA out of memory")) == (
        "out_of_memory",
        "out of memory: CUDA out of memory",
    )
    assert failed(RuntimeError("can't allocate memory: 9 GB"))[0] == "out_of_memory"


def test_an_inherited_checkpoint_that_does_not_fit_is_explained():
    mismatch = RuntimeError("Error(s) in loading state_dict for Net:\n\tsize mismatch for body.weight")
    kind, reason = failed(mismatch, inherited=True, began=False)
    assert kind == "exception"
    assert (
        "does not fit its module or optimizer (Error(s) in loading state_dict for Net: size mismatch"
        in reason
    )
    assert reason.endswith("that changes the shapes of weights: make it a constant.")
    assert failed(mismatch, inherited=True)[1].startswith("RuntimeError: ")
    assert failed(mismatch, began=False)[1].startswith("RuntimeError: ")
