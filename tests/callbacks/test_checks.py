"""Settings of the checks, and how they fit a Trainer."""

import math

import pytest

from lightning_tune.callbacks.checks import Checks
from lightning_tune.callbacks.outlook import Rule
from lightning_tune.core.objective import Objective
from lightning_tune.errors import ArgumentError


def checks(bounds=None, **settings):
    return Checks(objective=Objective.of("val_acc", "max"), rule=Rule(mode="max", bounds=bounds), **settings)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"min_epochs": 0}, "`min_epochs` must be an integer of at least 1, got 0"),
        ({"check_every": 1.5}, "`check_every` must be an integer of at least 1, got 1.5"),
        ({"patience": True}, "`patience` must be an integer of at least 1, got True"),
        ({"max_epochs": 0}, "`max_epochs` must be an integer of at least 1, or None, got 0"),
        ({"max_epochs": 3}, "`min_epochs` must be at most `max_epochs`: got 4 and 3"),
        ({"target": math.nan}, "`target` must be a finite number or None, got nan"),
        ({"target": True}, "`target` must be a finite number or None, got True"),
        ({"target": "best"}, "`target` must be a finite number or None, got 'best'"),
        ({"target": 93.0, "bounds": (0, 1)}, "`target` must lie within `bounds`, (0, 1), got 93.0"),
        ({"target": -0.5, "bounds": (0, None)}, "`target` must lie within `bounds`, (0, None), got -0.5"),
    ],
)
def test_a_bad_setting_is_named(settings, words):
    with pytest.raises(ArgumentError) as error:
        checks(**settings)
    assert words in str(error.value)


@pytest.mark.parametrize(
    ("target", "bounds"), [(0.0, (0, 1)), (1.0, (0, 1)), (-9.0, (None, 1)), (9.0, (0, None)), (9.0, None)]
)
def test_a_target_may_be_all_that_the_metric_may_be(target, bounds):
    assert checks(target=target, bounds=bounds).target == target


def test_the_first_check_is_in_the_first_epoch_that_has_enough_reports_and_is_due():
    for min_epochs in range(1, 9):
        for every in range(1, 6):
            due = [epoch for epoch in range(1, 99) if epoch % every == 0 and epoch >= min_epochs]
            assert checks(min_epochs=min_epochs, check_every=every).first == due[0]


def test_the_end_is_the_trainers_or_one_beyond():
    assert checks().end_for(50.0) == 50
    assert checks(max_epochs=80).end_for(50.0) == 80
    assert checks(max_epochs=80).end_for(math.inf) == 80
    with pytest.raises(ArgumentError, match="is 40, but the Trainer trains on to 50"):
        checks(max_epochs=40).end_for(50.0)
    with pytest.raises(ArgumentError, match="`max_epochs` of CurveExtrapolationStopping must be given"):
        checks().end_for(math.inf)


def test_a_check_that_comes_too_late_is_told():
    assert checks(check_every=5).too_late(5) == (
        "looks at a run after 5 epochs first, and this one is over after 5: it is never stopped. Lower "
        "`min_epochs` or `check_every`, or train longer."
    )
