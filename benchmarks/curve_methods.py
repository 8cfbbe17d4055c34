"""What predicts the ends of curves: ours, and two that anybody would try first."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from curve_cuts import Cut, Distributions
from curve_lcpfn import LCPFN
from curve_mcmc import domhan
from scipy.stats import norm, rankdata, t

from lightning_tune.curves.network import Network, shipped
from lightning_tune.curves.posterior import extrapolate_by

Array = npt.NDArray[np.float64]
Method = Callable[[Cut], Distributions]
LEAST_DEVIATION = 1e-6
"""Of the curve's own size, so that a constant one has a density."""
POWERS = np.geomspace(0.02, 5.0, 60)


@dataclass(frozen=True, kw_only=True, eq=False)
class Bell:
    """Student distributions, one a curve; without degrees of freedom normal ones.

    Attributes:
        middle: (num_curves,).
        scale: (num_curves,).
        freedom: (num_curves,), infinite for normal ones.
    """

    middle: Array
    scale: Array
    freedom: Array

    def log_prob(self, values: Array) -> Array:
        """Return the log density at one value a curve."""
        normal = np.isinf(self.freedom)
        student = t.logpdf(values, np.where(normal, 1.0, self.freedom), self.middle, self.scale)
        return np.where(normal, norm.logpdf(values, self.middle, self.scale), student)

    def quantile(self, q: Array) -> Array:
        """Return quantiles (num_curves, num_levels) at levels (num_levels,)."""
        freedom = np.where(np.isinf(self.freedom), 1e9, self.freedom)
        return self.middle[:, None] + self.scale[:, None] * t.ppf(q[None], freedom[:, None])


def ours_by(network: Network, *, joint: bool) -> Method:
    """Return `extrapolate` with a network; in its joint mode a batch is taken to be a sweep."""

    def predict(cut: Cut) -> Distributions:
        mode = "max" if cut.rises else "min"
        configs = _unit_cube(cut.configs) if joint else None
        return extrapolate_by(network, cut.values, at=cut.at, mode=mode, bounds=cut.bounds, configs=configs)

    return predict


def _unit_cube(configs: Array) -> Array:
    """Return hyperparameters by their ranks in the batch, from 0 to 1."""
    ranks = rankdata(np.nan_to_num(configs, nan=-np.inf), axis=0)
    return np.asarray((ranks - 0.5) / len(ranks))


def last_value(cut: Cut) -> Distributions:
    """Return a random walk from the last report on, with the mean square of the steps so far."""
    middle, scale = np.empty((2, len(cut.at)))
    for row in range(len(cut.at)):
        steps, costs = cut.observed(row)
        moves = np.diff(costs) / np.sqrt(np.diff(steps))
        size = math.sqrt(float((moves**2).mean())) if len(moves) else abs(float(costs[-1]))
        middle[row] = costs[-1]
        scale[row] = _at_least(size * math.sqrt(cut.at[row] - steps[-1]), costs)
    return _bell(cut, middle, scale, np.full(len(middle), np.inf))


def power_law(cut: Cut) -> Distributions:
    """Return the least-squares fit of c + a x^-alpha, with the uncertainty of c and a (Student)."""
    middle, scale, freedom = np.empty((3, len(cut.at)))
    for row in range(len(cut.at)):
        steps, costs = cut.observed(row)
        middle[row], size, freedom[row] = _fit(steps, costs, float(cut.at[row]))
        scale[row] = _at_least(size, costs)
    return _bell(cut, middle, scale, freedom)


def _fit(steps: Array, costs: Array, at: float) -> tuple[float, float, float]:
    """Return middle, scale and degrees of freedom at a later step; too few reports give the last one."""
    if len(steps) < 4:
        return float(costs[-1]), float(np.ptp(costs)) or abs(float(costs[-1])), 3.0
    best = None
    for power in POWERS:
        columns = np.column_stack([np.ones(len(steps)), steps**-power])
        solution, *_ = np.linalg.lstsq(columns, costs, rcond=None)
        left = float(((costs - columns @ solution) ** 2).sum())
        if best is None or left < best[0]:
            best = left, power, columns, solution
    assert best is not None
    left, power, columns, solution = best
    there = np.array([1.0, at**-power])
    freedom = max(len(steps) - 3, 1)
    doubt = float(there @ np.linalg.pinv(columns.T @ columns) @ there)
    return float(there @ solution), math.sqrt(left / freedom * (1.0 + doubt)), float(freedom)


def _at_least(scale: float, costs: Array) -> float:
    return max(scale, LEAST_DEVIATION * float(np.abs(costs).max()), 1e-30)


def _bell(cut: Cut, middle: Array, scale: Array, freedom: Array) -> Bell:
    """Return distributions of costs as those of the metric."""
    return Bell(middle=-middle if cut.rises else middle, scale=scale, freedom=freedom)


METHODS: dict[str, Callable[[], Method]] = {
    "lightning_tune": lambda: ours_by(shipped(), joint=False),
    "lightning_tune_joint": lambda: ours_by(shipped(), joint=True),
    "last_value": lambda: last_value,
    "power_law": lambda: power_law,
    "domhan_mcmc": lambda: domhan,
    "lcpfn": LCPFN,
}
SLOW = ("domhan_mcmc", "lcpfn")
