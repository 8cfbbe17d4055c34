"""The Gaussian process itself: hyperparameters, and the posterior (Rasmussen & Williams, algorithm 2.1).

Costs are standardised beforehand. The covariance of two observations is `trend + signal * k(s)`, plus
the noise on the diagonal: the constant `trend` stands for an unknown mean with a normal prior, integrated
out.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lightning_tune.search.gp.kernel import Matrix, Vector, kernel_of, squared_distances

TREND = 1.0
"""The variance of the unknown mean."""
JITTER = 1e-9
"""Added to the diagonal, relative to the signal: two equal rows without noise still have a factor."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Hyper:
    """What is learned: a length scale an axis, the variances of signal and noise, and which kernel.

    Attributes:
        lengths: (axes,), the distance along each axis over which costs change.
        signal: the variance of the function around its mean.
        noise: the variance of an observation around the function.
        smooth: whether the kernel is the Gaussian one, not the Matérn kernel.
    """

    lengths: Vector
    signal: float
    noise: float
    smooth: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Surrogate:
    """A Gaussian process conditioned on data; costs may come in several versions (fantasies), a column each.

    Attributes:
        features: (num, columns), the rows that were observed.
        weight: (columns,), 1 / length^2 of each column's axis.
        hyper: the hyperparameters.
        factor: (num, num), the lower Cholesky factor of the covariance of the observations.
        alpha: (num, versions), the covariance's inverse times the costs.
    """

    features: Matrix
    weight: Vector
    hyper: Hyper
    factor: Matrix
    alpha: Matrix

    @classmethod
    def fit(cls, features: Matrix, owner: npt.NDArray[np.int64], costs: Matrix, hyper: Hyper) -> "Surrogate":
        """Condition on observations; `costs` has the shape (num, versions)."""
        from scipy.linalg import cho_solve, cholesky

        weight = hyper.lengths[owner] ** -2.0
        kernel = kernel_of(hyper.smooth)
        covariance = TREND + hyper.signal * kernel(squared_distances(features, features, weight))[0]
        covariance[np.diag_indices_from(covariance)] = TREND + hyper.signal * (1.0 + JITTER) + hyper.noise
        factor = cholesky(covariance, lower=True, check_finite=False)
        alpha = cho_solve((factor, True), costs, check_finite=False)
        return cls(features, weight, hyper, factor, alpha)

    def mean(self, features: Matrix) -> Matrix:
        """Return the posterior mean of the function at some rows, of shape (num, versions)."""
        result: Matrix = self._cross(features)[0] @ self.alpha
        return result

    def posterior(self, features: Matrix) -> tuple[Matrix, Vector]:
        """Return the posterior mean (num, versions) and variance (num,) of the function, without noise."""
        cross, _ = self._cross(features)
        half = self._half(cross)
        variance = TREND + self.hyper.signal - (half * half).sum(0)
        return cross @ self.alpha, self._above_zero(variance)

    def joint(self, features: Matrix) -> tuple[Matrix, Matrix]:
        """Return the posterior mean (num, versions) and covariance (num, num) of the function."""
        cross, _ = self._cross(features)
        half = self._half(cross)
        apart = squared_distances(features, features, self.weight)
        prior = TREND + self.hyper.signal * kernel_of(self.hyper.smooth)(apart)[0]
        return cross @ self.alpha, prior - half.T @ half

    def posterior_and_slopes(self, row: Vector) -> tuple[Vector, float, Matrix, Vector]:
        """Return mean (versions,) and variance at one row, and their derivatives by its columns.

        The derivatives have the shapes (columns, versions) and (columns,).
        """
        from scipy.linalg import cho_solve

        cross, slope = self._cross(row[None, :])
        solved = cho_solve((self.factor, True), cross[0], check_finite=False)
        variance = TREND + self.hyper.signal - float(cross[0] @ solved)
        change = (2.0 * self.hyper.signal) * slope[0][:, None] * (row - self.features) * self.weight
        mean_slope: Matrix = change.T @ self.alpha
        variance_slope: Vector = -2.0 * (change.T @ solved)
        floor = self._above_zero(np.array([variance]))[0]
        return cross[0] @ self.alpha, float(floor), mean_slope, variance_slope

    def _cross(self, features: Matrix) -> tuple[Matrix, Matrix]:
        apart = squared_distances(features, self.features, self.weight)
        value, slope = kernel_of(self.hyper.smooth)(apart)
        return TREND + self.hyper.signal * value, slope

    def _half(self, cross: Matrix) -> Matrix:
        """Return the factor's inverse times the transposed cross-covariance, of shape (num_data, num)."""
        from scipy.linalg import solve_triangular

        half: Matrix = solve_triangular(self.factor, cross.T, lower=True, check_finite=False)
        return half

    def _above_zero(self, variance: Vector) -> Vector:
        return np.maximum(variance, 1e-12 * (TREND + self.hyper.signal))


def lengths_prior(axes: int) -> tuple[float, float]:
    """Return location and scale of the log-normal prior of a length scale.

    Lengths grow with the square root of the dimension, as distances in the cube do, so that the model
    stays informative from 2 to hundreds of dimensions (Hvarfner et al. 2024). The mode is theirs; the prior
    is narrower, which was better on all kinds of functions that we tried: an axis that a few points say
    nothing of is not yet one that does not matter.
    """
    return 0.5 * math.log(axes) - 0.5, 1.0
