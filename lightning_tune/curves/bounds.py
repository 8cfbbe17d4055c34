"""What a metric cannot leave: an accuracy 0 and 1, most losses 0 from above."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from lightning_tune.errors import ArgumentError

Bounds = tuple[float | None, float | None]
"""(low, high), None for no bound."""


def limits(bounds: Any, name: str = "bounds") -> tuple[float, float]:
    """Return bounds as two numbers, infinite where there is none.

    Args:
        bounds: (low, high), None for no bound; None is no bound at either end.
        name: what an error calls it.

    Raises:
        ArgumentError: it is no such pair, or it does not ascend.

    Example:
        >>> limits((0, None))
        (0.0, inf)
    """
    if bounds is None:
        return -math.inf, math.inf
    pair = bounds.tolist() if isinstance(bounds, np.ndarray) else bounds
    if not isinstance(pair, Sequence) or len(pair) != 2 or not all(map(_is_end, pair)):
        raise ArgumentError(f"`{name}` must be (low, high), None for no bound, got {bounds!r}.")
    low = -math.inf if pair[0] is None else float(pair[0])
    high = math.inf if pair[1] is None else float(pair[1])
    if not low < high:
        raise ArgumentError(f"`{name}` must be ascending, got {bounds!r}.")
    return low, high


def _is_end(value: Any) -> bool:
    if value is None:
        return True
    number = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
    return bool(number and not math.isnan(value))
