"""The unit of a curve: how much it moves from one report to the next."""

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
ROUNDING = 1e-4
"""A metric is not known better than that, as a share of itself: reports that are equal say no more."""
ALONE = 0.1
"""What a single report may move by, as a share of itself."""
SPIKE = 20.0
TINY = 1e-30
"""So that nothing is divided by zero."""


def noise(costs: Array) -> Array:
    """Return the unit of each curve, (num_curves,), above 0: mostly the median difference of neighbours.

    A spike counts for at most `SPIKE` medians, or one value of a trillion would make all others equal.
    """
    if costs.shape[1] < 2:
        return np.asarray(ALONE * np.abs(costs[:, 0]) + TINY)
    floor = ROUNDING * np.median(np.abs(costs), axis=1) + TINY
    apart = np.abs(np.diff(costs, axis=1))
    middle = np.median(apart, axis=1)
    usual = np.where(middle > floor, SPIKE * middle, np.inf)  # where half of the steps are none, all count
    return np.asarray(middle + 0.1 * np.minimum(apart, usual[:, None]).mean(axis=1) + floor)
