import pytest

from lightning_tune.core.budget import Budget
from lightning_tune.errors import ArgumentError
from lightning_tune.schedule import MedianStopping
from lightning_tune.schedule.interval import check_interval, check_resumes, interval_of


@pytest.mark.parametrize("interval", [0, -1, True, "3", float("nan"), float("inf")])
def test_an_interval_is_a_number_above_zero(interval):
    with pytest.raises(ArgumentError, match="`interval` must be a number above 0, or None, got"):
        check_interval(interval)


@pytest.mark.parametrize(
    ("own", "budget", "default", "expected"),
    [
        (3, Budget(full=27), 1.0, 3.0),
        (None, Budget(full=27), 2.7, 3.0),
        (None, Budget(full=4), 0.4, 1.0),
        (None, Budget(unit="seconds", full=4), 0.4, 0.4),
        (0.5, Budget(unit="seconds", full=4), 0.4, 0.5),
    ],
)
def test_a_default_is_whole_where_budgets_are(own, budget, default, expected):
    assert interval_of(MedianStopping(interval=own), budget, budget.full, default) == expected


@pytest.mark.parametrize(
    ("own", "sentence"),
    [(1.5, "must be a whole number of epochs, got 1.5"), (27, "must be below the largest budget, 27 epochs")],
)
def test_an_interval_must_fit_the_budget(own, sentence):
    with pytest.raises(ArgumentError, match=f"`interval` of MedianStopping {sentence}"):
        interval_of(MedianStopping(interval=own), Budget(full=27), 27, 1.0)


@pytest.mark.parametrize("grows", ["data", "model.depth"])
def test_budgets_that_train_anew_are_refused(grows):
    with pytest.raises(ArgumentError, match=f"MedianStopping.*`budget='{grows}'`.*use schedule='halving'"):
        check_resumes(MedianStopping(), Budget(grows=grows, full=4))
