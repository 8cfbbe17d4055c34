"""The logarithm of expected improvement, exact where expected improvement itself is 0 in floating point.

Ament et al. 2023, "Unexpected improvements to expected improvement". For minimisation with z = (best -
mean) / sd: EI = sd * h(z), h(z) = phi(z) + z Phi(z). Far below 0 the two terms cancel; with t = -z and the
Mills ratio m(t) = sqrt(pi/2) erfcx(t / sqrt(2)), h = phi(t) (1 - t m(t)), and from t = 50 on the bracket is
summed as its asymptotic series 1/t^2 - 3/t^4 + 15/t^6 - ...
"""

import math

import numpy as np
import numpy.typing as npt

Vector = npt.NDArray[np.float64]
_LOG_SQRT_2PI = 0.5 * math.log(2.0 * math.pi)
_FAR = 50.0


def log_h(z: Vector) -> tuple[Vector, Vector]:
    """Return log(phi(z) + z Phi(z)) and its derivative, each of the shape of z."""
    from scipy.special import erfcx, ndtr

    z = np.asarray(z, dtype=np.float64)
    near = np.maximum(z, -1.0)
    density = np.exp(-0.5 * near * near - _LOG_SQRT_2PI)
    height = density + near * ndtr(near)
    t = np.maximum(-z, 1.0)
    mills = math.sqrt(math.pi / 2.0) * erfcx(t / math.sqrt(2.0))
    bracket = np.where(t < _FAR, 1.0 - t * mills, _series(np.maximum(t, _FAR)))
    value = np.where(z > -1.0, np.log(height), -0.5 * t * t - _LOG_SQRT_2PI + np.log(bracket))
    slope = np.where(z > -1.0, ndtr(near) / height, mills / bracket)
    return value, slope


def _series(t: Vector) -> Vector:
    """Return 1 - t m(t) for large t: sum over k of (-1)^(k+1) (2k-1)!! / t^(2k)."""
    x = 1.0 / (t * t)
    total = x * (1.0 - 3.0 * x * (1.0 - 5.0 * x * (1.0 - 7.0 * x * (1.0 - 9.0 * x))))
    return np.asarray(total, dtype=np.float64)


def log_ei(mean: Vector, sd: Vector, best: Vector) -> tuple[Vector, Vector, Vector]:
    """Return log EI below `best`, and its derivatives by the mean and by the standard deviation."""
    z = (best - mean) / sd
    value, slope = log_h(z)
    return np.log(sd) + value, -slope / sd, (1.0 - z * slope) / sd
