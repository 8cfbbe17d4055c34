"""What a point is worth: log expected improvement over the best posterior mean, averaged over fantasies.

Noise: the improvement is over the lowest posterior mean of what was tried, not over a lucky observation.
Trials that are still running are fantasies: a few joint draws of their costs, each a version of the data
with its own best, so that a point beside a running one is worth what is left to learn there.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from lightning_tune.search.gp.kernel import Matrix, Vector
from lightning_tune.search.gp.layout import Layout
from lightning_tune.search.gp.log_ei import log_ei
from lightning_tune.search.gp.surrogate import Surrogate

Belief = Callable[[Matrix], tuple[Vector, Matrix]]
"""Log density of a prior over good regions at points, of shape (num,), and its slopes (num, axes)."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Acquisition:
    """Log expected improvement at points of the unit cube.

    Attributes:
        layout: how points become columns.
        surrogates: the model of the costs, under several hyperparameters that may be true.
        best: for each of them (versions,), what is to be improved on.
        context: (extra,), columns that follow the layout's and are the same for every candidate.
        belief: a prior over good regions, added to the logarithm.
    """

    layout: Layout
    surrogates: Sequence[Surrogate]
    best: Sequence[Vector]
    context: Vector
    belief: Belief | None = None

    def __call__(self, points: Matrix) -> Vector:
        """Return the value of each point, of shape (num,)."""
        features = with_context(self.layout.features(points), self.context)
        values = []
        for surrogate, best in zip(self.surrogates, self.best, strict=True):
            mean, variance = surrogate.posterior(features)
            values.append(log_ei(mean, np.sqrt(variance)[:, None], best)[0])
        total = _log_mean_exp(np.concatenate(values, axis=1))
        return total if self.belief is None else total + self.belief(points)[0]

    def with_slope(self, point: Vector) -> tuple[float, Vector]:
        """Return the value of one point and its slope along each axis (0 where it does not exist)."""
        row = with_context(self.layout.features(point[None, :]), self.context)[0]
        parts = [_value_and_slope(*pair, row) for pair in zip(self.surrogates, self.best, strict=True)]
        values = np.concatenate([part[0] for part in parts])
        share = np.exp(values - values.max())
        share /= share.sum()
        slope = along_axes(self.layout, point, np.concatenate([part[1] for part in parts], axis=1) @ share)
        total = float(_log_mean_exp(values[None, :])[0])
        if self.belief is not None:
            value, belief_slope = self.belief(point[None, :])
            total, slope = total + float(value[0]), slope + belief_slope[0]
        return total, slope


def _value_and_slope(surrogate: Surrogate, best: Vector, row: Vector) -> tuple[Vector, Matrix]:
    """Return log EI of each version (versions,), and its derivative by each column (columns, versions)."""
    mean, variance, mean_slope, variance_slope = surrogate.posterior_and_slopes(row)
    sd = math.sqrt(variance)
    values, by_mean, by_sd = log_ei(mean, np.full(len(mean), sd), best)
    return values, mean_slope * by_mean + variance_slope[:, None] * (by_sd / (2.0 * sd))


def with_context(features: Matrix, context: Vector) -> Matrix:
    """Return columns followed by those that are the same for every candidate."""
    return np.concatenate([features, np.broadcast_to(context, (len(features), len(context)))], axis=1)


def along_axes(layout: Layout, point: Vector, by_column: Vector) -> Vector:
    """Return the slope along each axis (axes,) of what has a slope by each column, the context's included."""
    along = by_column[: len(layout.owner)] * layout.slopes(point[None, :])[0]
    slope: Vector = np.bincount(layout.owner, weights=along, minlength=layout.axes).astype(np.float64)
    return slope


def _log_mean_exp(values: Matrix) -> Vector:
    """Return the logarithm of the mean over versions, of shape (num,)."""
    top = values.max(axis=1)
    result: Vector = top + np.log(np.exp(values - top[:, None]).mean(axis=1))
    return result
