import math

import numpy as np
import pytest

from lightning_tune.curves.bounds import limits
from lightning_tune.errors import ArgumentError


@pytest.mark.parametrize(
    ("given", "ends"),
    [
        (None, (-math.inf, math.inf)),
        ((None, None), (-math.inf, math.inf)),
        ((0, None), (0.0, math.inf)),
        ([None, 1], (-math.inf, 1.0)),
        ((-math.inf, 2.5), (-math.inf, 2.5)),
        (np.array([0.0, 1.0]), (0.0, 1.0)),
        ((np.float32(0.5), np.int64(3)), (0.5, 3.0)),
    ],
)
def test_pairs(given, ends):
    assert limits(given) == ends


@pytest.mark.parametrize(
    "given", [1.0, (0,), (0, 1, 2), "01", (False, 1), ("0", "1"), (math.nan, 1), np.zeros((2, 2)), {0, 1}]
)
def test_what_is_no_pair_is_refused_by_its_name(given):
    with pytest.raises(ArgumentError, match=r"^`limits` must be \(low, high\), None for no bound, got "):
        limits(given, "limits")


@pytest.mark.parametrize("given", [(1, 0), (1, 1), (math.inf, None)])
def test_they_must_ascend(given):
    with pytest.raises(ArgumentError, match="`bounds` must be ascending"):
        limits(given)
