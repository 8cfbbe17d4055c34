import pytest

from lightning_tune.core.checks import whole, whole_or_none
from lightning_tune.errors import ArgumentError


def test_what_is_right_goes_through():
    assert whole("seed", 0, 0) == 0
    assert whole_or_none("starts", 2, 2) == 2
    assert whole_or_none("starts", None, 2) is None


@pytest.mark.parametrize(
    ("call", "arguments", "message"),
    [
        (whole, ("repeats", 1.0, 1), "`repeats` must be an integer of at least 1, got 1.0"),
        (whole, ("repeats", True, 1), "`repeats`"),
        (whole, ("repeats", None, 1), "`repeats` must be an integer of at least 1, got None"),
        (whole_or_none, ("starts", 1, 2), "`starts` must be an integer of at least 2, or None, got 1"),
        (whole_or_none, ("starts", "2", 2), "`starts`"),
    ],
)
def test_what_is_wrong_is_named(call, arguments, message):
    with pytest.raises(ArgumentError, match=message):
        call(*arguments)
