"""Arithmetic of n equal bins of [0, 1]: how a dimension with n values lies in the unit interval."""

import math
from collections.abc import Sequence


def bin_index(unit: float, number: int) -> int:
    """Return which of `number` equal bins of [0, 1] a place lies in."""
    return min(int(unit * number), number - 1)


def bin_centre(index: int, number: int) -> float:
    """Return the middle of a bin of [0, 1], or the nearest float that `bin_index` puts into the bin."""
    # rounded by at most half a bin for up to 2**53 bins, so never to below its bin
    unit = (2 * index + 1) / (2 * number)
    while bin_index(unit, number) > index:
        unit = math.nextafter(unit, 0.0)
    return unit


def spread(number: int, points: int) -> Sequence[int]:
    """Return at most `points` of the indices below `number`, evenly spaced with both ends (or the middle)."""
    if points >= number:
        return range(number)
    if points == 1:
        return [bin_index(0.5, number)]
    gaps = points - 1
    return [(2 * position * (number - 1) + gaps) // (2 * gaps) for position in range(points)]
