"""Hyperparameters by maximum a posteriori: L-BFGS-B on the exact marginal likelihood with its exact gradient.

The gradient is written by hand in NumPy: 0.25 ms an evaluation at 100 observations in 6 dimensions, against
1.5 ms with torch's automatic differentiation (2.8 ms against 19 ms at 300), the linear algebra being the
same LAPACK.

Priors: length scales much as Hvarfner et al. 2024, the signal's variance log-normal around 1 (costs are
standardised), the noise's log-normal and wide, so that both a deterministic function and a noisy one are
found. Which of the two kernels, the data say too: the one with the larger posterior density.
"""

import math
from collections import OrderedDict
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from lightning_tune.search.gp.kernel import Matrix, Vector, kernel_of
from lightning_tune.search.gp.surrogate import JITTER, TREND, Hyper, lengths_prior

Integers = npt.NDArray[np.int64]
RELATED_PRIOR = (math.log(2.0) + 1.0, 1.0)
"""Of the length scale of a context (budget, sweep): densest at 2, so that one tells much about another."""
SIGNAL_PRIOR = (0.0, 1.0)
NOISE_PRIOR = (math.log(1e-4), 3.0)
LENGTH_BOUNDS = (1e-2, 1e3)
SIGNAL_BOUNDS = (1e-2, 1e2)
NOISE_BOUNDS = (1e-7, 1.0)
MEMORY = 64
"""Results that are remembered."""


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """The negative log posterior of the hyperparameters, up to a constant, as a function for L-BFGS-B.

    A parameter vector holds the logarithms of the lengths, of the signal and (unless it is fixed) of the
    noise.

    Attributes:
        apart: (axes, pairs), the squared distance of each pair of rows along each axis.
        rows: (pairs,), the first of each pair, the larger number.
        columns: (pairs,), the second.
        costs: (num,), standardised.
        noise: the variance of the noise where it is known, None where it is learned.
        related: how many of the axes, the last ones, are contexts, which are expected to resemble each other.
        smooth: whether the kernel is the Gaussian one.
    """

    apart: Matrix
    rows: Integers
    columns: Integers
    costs: Vector
    noise: float | None
    related: int = 0
    smooth: bool = False

    @classmethod
    def of(
        cls,
        features: Matrix,
        owner: Integers,
        costs: Vector,
        noise: float | None,
        related: int = 0,
        smooth: bool = False,
    ) -> "Evidence":
        """Prepare the distances of observations."""
        rows, columns = np.tril_indices(len(features), -1)
        squared = (features[rows] - features[columns]) ** 2
        apart = np.zeros((int(owner.max()) + 1, len(rows)))
        for column, axis in enumerate(owner):
            apart[axis] += squared[:, column]
        return cls(apart, rows, columns, costs, noise, related, smooth)

    @property
    def axes(self) -> int:
        """The number of length scales."""
        return len(self.apart)

    def start(self) -> Vector:
        """Return the parameters at which the prior is densest."""
        place, scale = self._lengths_prior()
        theta = [*np.maximum(place - scale**2, math.log(0.1)), 0.0]
        return np.array(theta if self.noise is not None else [*theta, math.log(1e-3)])

    def _lengths_prior(self) -> tuple[Vector, Vector]:
        """Return location and scale of the prior of each length, of shape (axes,)."""
        own = self.axes - self.related
        prior = np.array([lengths_prior(max(own, 1))] * own + [RELATED_PRIOR] * self.related)
        return prior[:, 0], prior[:, 1]

    def bounds(self) -> list[tuple[float, float]]:
        """Return the bounds of the parameters."""
        bounds = [LENGTH_BOUNDS] * self.axes + [SIGNAL_BOUNDS]
        if self.noise is None:
            bounds.append(NOISE_BOUNDS)
        return [(math.log(low), math.log(high)) for low, high in bounds]

    def hyper(self, theta: Vector) -> Hyper:
        """Return the hyperparameters of a parameter vector."""
        noise = math.exp(theta[-1]) if self.noise is None else self.noise
        lengths, signal = np.exp(theta[: self.axes]), math.exp(theta[self.axes])
        return Hyper(lengths=lengths, signal=signal, noise=noise, smooth=self.smooth)

    def theta(self, hyper: Hyper) -> Vector:
        """Return the parameter vector of hyperparameters."""
        tail = [hyper.signal] if self.noise is not None else [hyper.signal, hyper.noise]
        theta: Vector = np.log(np.concatenate([hyper.lengths, tail]))
        return theta

    def __call__(self, theta: Vector) -> tuple[float, Vector]:
        """Return the negative log posterior and its gradient; infinite where there is no Cholesky factor."""
        from scipy.linalg import lapack

        hyper = self.hyper(theta)
        weight = hyper.lengths**-2.0
        value, slope = kernel_of(self.smooth)(weight @ self.apart)
        signal, slope = hyper.signal * value, hyper.signal * slope
        num = len(self.costs)
        covariance = np.zeros((num, num), order="F")
        covariance[self.rows, self.columns] = signal + TREND
        covariance[np.diag_indices(num)] = TREND + hyper.signal * (1.0 + JITTER) + hyper.noise
        factor, failed = lapack.dpotrf(covariance, lower=1, clean=0, overwrite_a=1)
        if failed:
            return math.inf, np.zeros_like(theta)
        alpha, _ = lapack.dpotrs(factor, self.costs, lower=1)
        fit = 0.5 * float(self.costs @ alpha) + float(np.log(np.diag(factor)).sum())
        inverse, _ = lapack.dpotri(factor, lower=1, overwrite_c=1)
        # d value / d covariance: half of (inverse - alpha alpha'), each pair below the diagonal counted twice
        pairs = inverse[self.rows, self.columns] - alpha[self.rows] * alpha[self.columns]
        diagonal = float(np.diag(inverse).sum() - alpha @ alpha)
        gradient = np.empty_like(theta)
        gradient[: self.axes] = -2.0 * weight * (self.apart @ (pairs * slope))
        gradient[self.axes] = pairs @ signal + 0.5 * diagonal * hyper.signal * (1.0 + JITTER)
        if self.noise is None:
            gradient[-1] = 0.5 * diagonal * hyper.noise
        return self._with_priors(theta, fit, gradient)

    def _with_priors(self, theta: Vector, value: float, gradient: Vector) -> tuple[float, Vector]:
        """Add the priors: log-normal densities of the lengths, the signal and the noise themselves."""
        place, scale = np.zeros(len(theta)), np.ones(len(theta))
        place[: self.axes], scale[: self.axes] = self._lengths_prior()
        place[self.axes], scale[self.axes] = SIGNAL_PRIOR
        if self.noise is None:
            place[-1], scale[-1] = NOISE_PRIOR
        own = np.ones(len(theta))
        own[self.axes :] = 0.0
        off = (theta - place) / scale
        value += float((own * theta + 0.5 * off * off).sum())
        return value, gradient + own + off / scale


def fit_hyper(
    features: Matrix,
    owner: Integers,
    costs: Vector,
    noise: float | None,
    start: Hyper | None = None,
    related: int = 0,
) -> Hyper:
    """Return the hyperparameters of the largest posterior density, a function of the arguments alone.

    Without `start` a long search from several places with either kernel, with it a short one from there with
    the kernel found before. Results are remembered, which costs nothing to lose.

    Args:
        features: (num, columns), the observations.
        owner: (columns,), the axis of each column.
        costs: (num,), standardised.
        noise: the variance of the noise where it is known.
        start: hyperparameters found on a part of the data.
        related: how many of the axes, the last ones, are contexts.
    """
    evidence = Evidence.of(features, owner, costs, noise, related)
    first = () if start is None else (start.smooth, *evidence.theta(start).tolist())
    name = (features.tobytes(), owner.tobytes(), costs.tobytes(), noise, first, related)
    if name not in _memory:
        kept = evidence if start is None else replace(evidence, smooth=start.smooth)
        _memory[name] = _long_fit(kept) if start is None else refit(kept, start)
        while len(_memory) > MEMORY:
            _memory.popitem(last=False)
    return _memory[name]


_memory: OrderedDict[object, Hyper] = OrderedDict()


def refit(evidence: Evidence, start: Hyper) -> Hyper:
    """Return what a short search from other hyperparameters finds, for the kernel of the evidence."""
    return evidence.hyper(_minimise(evidence, evidence.theta(start), 15)[1])


def round_number(num: int) -> int:
    """Return the largest of 2, 4, 8, 12, 16, 24, 32, ... that is at most `num`, itself at least 2."""
    base = 2
    while base * 2 <= num:
        base *= 2
    return base * 3 // 2 if base >= 8 and base * 3 // 2 <= num else base


def _long_fit(evidence: Evidence) -> Hyper:
    axes = evidence.axes
    start = evidence.start()
    starts = [start]
    for scale, noise in ((math.log(4.0), math.log(1e-5)), (math.log(0.5), math.log(1e-2))):
        other = start.copy()
        other[:axes] += scale
        if evidence.noise is None:
            other[-1] = noise
        starts.append(other)
    rough = min((_minimise(evidence, theta, 60) for theta in starts), key=lambda pair: pair[0])
    gentle = replace(evidence, smooth=True)
    smooth = min((_minimise(gentle, theta, 60) for theta in (rough[1], start)), key=lambda pair: pair[0])
    return gentle.hyper(smooth[1]) if smooth[0] < rough[0] else evidence.hyper(rough[1])


def _minimise(evidence: Evidence, start: Vector, steps: int) -> tuple[float, Vector]:
    from scipy.optimize import minimize

    found = minimize(
        evidence, start, jac=True, method="L-BFGS-B", bounds=evidence.bounds(), options={"maxiter": steps}
    )
    if not np.isfinite(found.fun):
        return math.inf, start
    return float(found.fun), np.asarray(found.x)
