"""What bounds may be: each refusal names the argument, what it got and the way out."""

import numpy as np
import pytest

from lightning_tune.core.bounds import check_log, check_order, check_step, check_whole, checked_real
from lightning_tune.errors import SpaceError


def test_real_numbers_become_floats():
    assert checked_real(3, "low") == 3.0
    assert isinstance(checked_real(3, "low"), float)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (True, "of type bool"),
        (np.float64(1), "call `.item()`"),
        ("1e-5", "write 1.0e-5"),
        (None, "of type NoneType"),
        (1j, "of type complex"),
        (float("nan"), "finite"),
        (float("inf"), "finite"),
        (10**400, "finite"),
    ],
)
def test_what_is_no_real_number_is_refused(value, words):
    with pytest.raises(SpaceError, match="^`low` must be") as caught:
        checked_real(value, "low")
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (True, "of type bool"),
        (2.0, "write 2"),
        (2.5, "use Float"),
        (np.int32(1), "call `.item()`"),
        (2**63, "64 bits"),
    ],
)
def test_what_is_no_whole_number_is_refused(value, words):
    with pytest.raises(SpaceError, match="^`high` must") as caught:
        check_whole(value, "high")
    assert words in str(caught.value)


def test_bounds_must_rise():
    check_order(0, 1)
    with pytest.raises(SpaceError, match="both are 1: use a constant"):
        check_order(1, 1)
    with pytest.raises(SpaceError, match="low=2 and high=1: swap them"):
        check_order(2, 1)


def test_a_logarithm_needs_a_positive_bound_and_a_bool():
    check_log(True, 1e-300)
    check_log(False, -1)
    with pytest.raises(SpaceError, match="`low` must be positive with `log=True`, got 0"):
        check_log(True, 0)
    with pytest.raises(SpaceError, match="`log` must be True or False, got 'yes'"):
        check_log("yes", 1)


@pytest.mark.parametrize(
    ("step", "log", "words"),
    [
        (1, True, "cannot go with `log=True`"),
        (0, False, "positive"),
        (-1, False, "positive"),
        (3, False, "at most"),
    ],
)
def test_a_bad_step_is_refused(step, log, words):
    with pytest.raises(SpaceError, match="^`step`") as caught:
        check_step(step, 2, log)
    assert words in str(caught.value)
