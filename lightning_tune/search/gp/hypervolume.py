"""Several objectives: the logarithm of the expected hypervolume improvement, exact, with exact slopes.

With an independent Gaussian process for each objective and the undominated space cut into boxes (l, u], a new
point y adds prod_j (u_j - max(l_j, y_j))_+ in each, whose expectation is prod_j (EI_j(u_j) - EI_j(l_j)) with
EI_j(t) = E (t - y_j)_+ (Emmerich, Deutz & Klinkenberg 2011; Yang et al. 2019). In logarithms each factor is a
difference of logarithms of expected improvement, so it stays exact where all improvement is 0 in floating
point (Ament et al. 2023). Where a box is narrow the difference cancels: there it is its width times the
probability to lie below its middle.

Trials that are still running are fantasies, as with one objective: each version has boxes of its own, and
the mean over versions is that over all boxes.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lightning_tune.search.gp.acquisition import Belief, along_axes, with_context
from lightning_tune.search.gp.boxes import undominated
from lightning_tune.search.gp.kernel import Matrix, Vector
from lightning_tune.search.gp.layout import Layout
from lightning_tune.search.gp.log_ei import log_h
from lightning_tune.search.gp.surrogate import Surrogate

Integers = npt.NDArray[np.int64]
_LOG_SQRT_2PI = 0.5 * math.log(2.0 * math.pi)
_NARROW = 1e-4
"""A side is narrow if it is shorter than this, in standard deviations, and times its distance."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Sides:
    """The sides of all boxes along one objective.

    Attributes:
        ends: (num_ends,), where sides begin and end, -inf too; each once.
        version: (num_ends,), the version of the costs that each is of.
        low: (num_boxes,), which end is a box's lower one.
        high: (num_boxes,), which is its upper one.
    """

    ends: Vector
    version: Integers
    low: Integers
    high: Integers

    @classmethod
    def of(cls, lower: Vector, upper: Vector, version: Integers) -> "Sides":
        """Return the sides of boxes, the arguments of shape (num_boxes,)."""
        pairs = np.stack([np.tile(version, 2), np.concatenate([lower, upper])], axis=1)
        unique, place = np.unique(pairs, axis=0, return_inverse=True)
        low, high = place.reshape(2, -1)
        return cls(ends=unique[:, 1], version=unique[:, 0].astype(np.int64), low=low, high=high)

    def log_gaps(self, mean: Matrix, sd: Vector) -> tuple[Matrix, Matrix, Matrix]:
        """Return log(EI(upper) - EI(lower)) and its derivatives by mean and sd, each (num, num_boxes).

        Args:
            mean: (num, versions).
            sd: (num,).
        """
        scale = sd[:, None]
        z = (self.ends - mean[:, self.version]) / scale
        known = self.ends > -np.inf
        height, slope = np.full(z.shape, -np.inf), np.zeros(z.shape)
        height[:, known], slope[:, known] = log_h(z[:, known])
        z_low, z_high = z[:, self.low], z[:, self.high]
        share = np.exp(height[:, self.low] - height[:, self.high])
        width = (self.ends[self.high] - self.ends[self.low]) / scale
        narrow = width < _NARROW / np.maximum(np.abs(z_high), 1.0)
        rest = np.where(narrow, 1.0, 1.0 - share)
        value = height[:, self.high] + np.log(rest)
        by_high, by_low = slope[:, self.high] / rest, -share * slope[:, self.low] / rest
        by_z = by_high + by_low
        by_scale = 1.0 - z_high * by_high - np.where(by_low < 0.0, z_low, 0.0) * by_low
        if narrow.any():
            middle = 0.5 * (z_high + z_low)[narrow]
            log_below, ratio = _log_below(middle)
            value[narrow] = np.log(width[narrow]) + log_below
            by_z[narrow], by_scale[narrow] = ratio, -middle * ratio
        return value + np.log(scale), -by_z / scale, by_scale / scale


def _log_below(z: Vector) -> tuple[Vector, Vector]:
    """Return the logarithm of the normal distribution function, and its derivative."""
    from scipy.special import log_ndtr

    value = log_ndtr(z)
    return value, np.exp(-0.5 * z * z - _LOG_SQRT_2PI - value)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class HypervolumeImprovement:
    """Log expected hypervolume improvement at points of the unit cube.

    Attributes:
        layout: how points become columns.
        surrogates: the model of each objective's costs.
        sides: for each objective, those of the boxes of all versions.
        versions: how many there are.
        context: (extra,), columns that follow the layout's and are the same for every candidate.
        belief: a prior over good regions, added to the logarithm.
    """

    layout: Layout
    surrogates: Sequence[Surrogate]
    sides: Sequence[Sides]
    versions: int
    context: Vector
    belief: Belief | None = None

    @classmethod
    def over(
        cls,
        fronts: Sequence[Matrix],
        reference: Vector,
        *,
        layout: Layout,
        surrogates: Sequence[Surrogate],
        context: Vector,
        belief: Belief | None = None,
    ) -> "HypervolumeImprovement":
        """Return the improvement over a front a version, each of shape (num_points, num_objectives)."""
        boxes = [undominated(front, reference) for front in fronts]
        lower = np.concatenate([corners for corners, _ in boxes])
        upper = np.concatenate([corners for _, corners in boxes])
        version = np.repeat(np.arange(len(boxes)), [len(corners) for corners, _ in boxes])
        sides = [Sides.of(low, high, version) for low, high in zip(lower.T, upper.T, strict=True)]
        return cls(
            layout=layout,
            surrogates=surrogates,
            sides=sides,
            versions=len(boxes),
            context=context,
            belief=belief,
        )

    def __call__(self, points: Matrix) -> Vector:
        """Return the value of each point, of shape (num,)."""
        features = with_context(self.layout.features(points), self.context)
        logs: Matrix | float = 0.0
        for surrogate, sides in zip(self.surrogates, self.sides, strict=True):
            mean, variance = surrogate.posterior(features)
            logs = logs + sides.log_gaps(mean, np.sqrt(variance))[0]
        total = _log_sum(np.asarray(logs))[0] - math.log(self.versions)
        return total if self.belief is None else total + self.belief(points)[0]

    def with_slope(self, point: Vector) -> tuple[float, Vector]:
        """Return the value of one point and its slope along each axis (0 where it does not exist)."""
        row = with_context(self.layout.features(point[None, :]), self.context)[0]
        found = [surrogate.posterior_and_slopes(row) for surrogate in self.surrogates]
        gaps = [
            sides.log_gaps(mean[None, :], np.sqrt([variance]))
            for sides, (mean, variance, _, _) in zip(self.sides, found, strict=True)
        ]
        total, share = _log_sum(np.sum([value for value, _, _ in gaps], axis=0))
        by_column: Vector = np.zeros(len(row))
        for sides, (_, by_mean, by_sd), (_, variance, mean_slope, variance_slope) in zip(
            self.sides, gaps, found, strict=True
        ):
            of_box = sides.version[sides.high]
            by_version = np.bincount(of_box, weights=(share * by_mean)[0], minlength=self.versions)
            by_variance = float((share * by_sd).sum()) / (2.0 * math.sqrt(variance))
            by_column += mean_slope @ by_version + variance_slope * by_variance
        value, slope = float(total[0]) - math.log(self.versions), along_axes(self.layout, point, by_column)
        if self.belief is None:
            return value, slope
        believed, belief_slope = self.belief(point[None, :])
        return value + float(believed[0]), slope + belief_slope[0]


def _log_sum(logs: Matrix) -> tuple[Vector, Matrix]:
    """Return the logarithm of the sum over boxes (num,), and each box's share of it (num, boxes)."""
    top = logs.max(axis=1, keepdims=True)
    parts = np.exp(logs - top)
    total = parts.sum(axis=1, keepdims=True)
    return (top + np.log(total))[:, 0], parts / total
