"""The unit of a curve: how much it moves from one report to the next."""

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
ROUNDING = 1e-6
"""A metric is not known better than that, as a share of itself."""
SPIKE = 20.0
TINY = 1e-30
"""So that nothing is divided by zero."""


def noise(costs: Array) -> Array:
    """Return the unit of each curve, (num_curves,), above 0: mostly the median difference of neighbours.

    A spike counts for at most `SPIKE` medians, or one value of a trillion would make all others equal.
    """
    floor = ROUNDING * np.median(np.abs(costs), axis=1) + TINY
    if costs.shape[1] < 2:
        return np.asarray(floor)
    apart = np.abs(np.diff(costs, axis=1))
    middle = np.median(apart, axis=1)
    usual = np.where(middle > floor, SPIKE * middle, np.inf)  # where half of the steps are none, all count
    return np.asarray(middle + 0.1 * np.minimum(apart, usual[:, None]).mean(axis=1) + floor)
