"""The exact posterior of curves that are linear in their parameters, for many shapes and curves at once.

A curve is y(t) = a + b g(t) + w(t) + e(t) with a known shape g, noise e of variance s^2 (over the count of
reports that an observation is the mean of), a random walk w in log(t + 1) of variance `drift` s^2 a unit,
b ~ N(0, (size s)^2), s^2 ~ inverse-gamma(SHAPE, SHAPE unit^2) and a flat prior on a. All of it is conjugate
(Gelman et al., *Bayesian Data Analysis*, chapter 14), so what is yet to come has a Student-t distribution,
and the evidence for a shape a closed form: with a bank of shapes the mixture over them is exact, and no
optimiser or sampler runs.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.linalg import solve_triangular

Array = npt.NDArray[np.float64]
SHAPE = 1.0
"""Of the inverse-gamma prior of the noise: what is known of its scale counts as two observations."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Forecast:
    """Student-t distributions of each curve at one later time, one for each shape.

    Attributes:
        log_evidence: (num_curves, num_shapes), up to what all shapes have in common.
        mean: (num_curves, num_shapes).
        scale: (num_curves, num_shapes), of the Student-t.
        freedom: degrees of freedom.
    """

    log_evidence: Array
    mean: Array
    scale: Array
    freedom: float


def forecasts(
    times: Array,
    values: Array,
    counts: Array,
    at: float,
    shapes: Array,
    *,
    sizes: Sequence[float],
    units: Sequence[float],
    drift: float,
) -> list[Forecast]:
    """Return the posterior predictive distributions at a later time, for each size, and in it each unit.

    Args:
        times: (num_times,), ascending.
        values: (num_curves, num_times), in units of each curve.
        counts: (num_times,), how many reports each value is the mean of.
        at: a time beyond the last of `times`.
        shapes: (num_shapes, num_times + 1), at `times` and `at`.
        sizes: standard deviations of b, in units of the noise; what does not depend on them is done once.
        units: where the prior of the noise has its scale, in units of the curve.
        drift: the variance of the walk a unit of log time, in units of the noise's.
    """
    clock = np.log(np.append(times, at) + 1.0)
    walk = drift * np.minimum.outer(clock, clock)
    factor = np.linalg.cholesky(walk[:-1, :-1] + np.diag(1.0 / counts))

    def whiten(columns: Array) -> Array:
        return np.asarray(solve_triangular(factor, columns, lower=True, check_finite=False))

    ones, shape, seen = whiten(np.ones(len(times))), whiten(shapes[:, :-1].T), whiten(values.T)
    along = whiten(walk[:-1, -1])
    free = walk[-1, -1] - along @ along + 1.0  # the walk's and the noise's variance that is left
    left_one, left_shape = 1.0 - ones @ along, shapes[:, -1] - along @ shape
    with_one, with_shape = ones @ seen, shape.T @ seen  # (num_curves,), (num_shapes, num_curves)
    square, log_factor = (seen**2).sum(axis=0), np.log(np.diag(factor)).sum()
    half = SHAPE + (len(times) - 1) / 2.0

    def of_size(size: float) -> list[Forecast]:
        # the precision [[p, q], [q, r]] of (a, b), and its inverse
        p, q, r = ones @ ones, ones @ shape, (shape**2).sum(axis=0) + size**-2.0
        determinant = p * r - q**2
        inverse = r / determinant, -q / determinant, p / determinant
        level = inverse[0][:, None] * with_one + inverse[1][:, None] * with_shape
        slope = inverse[1][:, None] * with_one + inverse[2][:, None] * with_shape
        misfit = np.maximum(square - level * with_one - slope * with_shape, 0.0)
        log_spread = log_factor + 0.5 * np.log(determinant) + np.log(size)
        spread = free + inverse[0] * left_one**2 + 2.0 * inverse[1] * left_one * left_shape
        spread = spread + inverse[2] * left_shape**2
        mean = (along @ seen + left_one * level + left_shape[:, None] * slope).T
        return [of_unit(unit, misfit, log_spread, mean, spread) for unit in units]

    def of_unit(unit: float, misfit: Array, log_spread: Array, mean: Array, spread: Array) -> Forecast:
        rate = SHAPE * unit**2 + misfit / 2.0
        evidence = 2.0 * SHAPE * np.log(unit) - log_spread[:, None] - half * np.log(rate)
        return Forecast(
            log_evidence=evidence.T,
            mean=mean,
            scale=np.sqrt(rate / half * spread[:, None]).T,
            freedom=2.0 * half,
        )

    return [found for size in sizes for found in of_size(size)]
