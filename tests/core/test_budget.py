import math

import pytest

from lightning_tune.core.budget import Budget
from lightning_tune.errors import ArgumentError


@pytest.mark.parametrize(
    ("budget", "unit", "full", "resumes", "whole", "least", "argument"),
    [
        ("epochs", "epochs", 27.0, True, True, 1.0, None),
        ("epochs", "steps", math.inf, True, True, 0.0, None),
        ("epochs", "seconds", math.inf, True, False, 0.0, None),
        ("data", "epochs", 1.0, False, False, 0.0, None),
        ("model.depth", "epochs", math.inf, False, True, 1.0, "depth"),
    ],
)
def test_what_follows_from_the_words(budget, unit, full, resumes, whole, least, argument):
    made = Budget.of(budget, unit, 27)
    assert (made.full, made.resumes, made.whole, made.least, made.argument) == (
        full,
        resumes,
        whole,
        least,
        argument,
    )


@pytest.mark.parametrize(
    ("budget", "unit", "message"),
    [
        ("epoch", "epochs", "`budget` must be 'epochs', 'data' or 'model.<argument>'"),
        ("model.", "epochs", "an integer argument of the module"),
        ("model.a b", "epochs", "got 'model.a b'"),
        (None, "epochs", "got None"),
        ("epochs", "minutes", "`budget_unit` must be one of 'epochs', 'steps', 'samples', 'seconds'"),
        ("data", "steps", "with `budget='data'` leave it out"),
    ],
)
def test_other_words_teach(budget, unit, message):
    with pytest.raises(ArgumentError, match=message):
        Budget.of(budget, unit)


@pytest.mark.parametrize(
    ("budget", "value", "amount", "figures"),
    [
        (Budget(), 1, "1 epoch", "1"),
        (Budget(), 9, "9 epochs", "9"),
        (Budget(unit="steps"), 120_000, "120,000 steps", "120,000 steps"),
        (Budget(unit="seconds"), 0.5, "0.5 seconds", "0.5 seconds"),
        (Budget(grows="data"), 1 / 3, "33.3% of the data", "33.3% of the data"),
        (Budget(grows="model.depth"), 4, "depth 4", "depth 4"),
    ],
)
def test_amounts_in_words(budget, value, amount, figures):
    assert budget.amount(value) == amount
    assert budget.named(budget.figure(value)) == figures
