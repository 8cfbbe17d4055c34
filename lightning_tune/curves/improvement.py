"""The expected improvement of a prediction on a target, in the metric's own units (Mockus 1975)."""

import numpy as np
import numpy.typing as npt
from scipy.special import expit, log_expit

from lightning_tune.curves.prediction import Prediction

Array = npt.NDArray[np.float64]
NODES = 128
"""Of the quadrature of each part of the mixture."""
REACH = 40.0
"""Beyond so many scales a part has no mass."""
TAIL = 1e-9
"""The least mass within the bounds that is reckoned with."""


def expected_improvement(prediction: Prediction, target: float) -> Array:
    """Return the expected value of max(0, how much a target is beaten by), by Gauss-Legendre quadrature.

    Args:
        prediction: distributions of shape (...).
        target: the value to beat, in the metric's own units and direction.

    Returns:
        (...), at least 0.

    Example:
        >>> import numpy as np
        >>> found = Prediction(
        ...     centre=np.array([0.5]),
        ...     unit=np.array([0.01]),
        ...     weights=np.array([[1.0]]),
        ...     places=np.array([[0.0]]),
        ...     scales=np.array([[0.1]]),
        ...     bounds=(-np.inf, np.inf),
        ...     rises=True,
        ... )
        >>> expected_improvement(found, 0.3).round(4).tolist()  # nearly certain: how far the mean is above
        [0.2]
        >>> bool(0 < expected_improvement(found, 0.52)[0] < 1e-4)
        True
    """
    low, high = prediction.bounds
    # in scales of each part (..., num_parts), where the mixture's mass is
    below, at, above = (
        _scaled(prediction, value) for value in (low, float(np.clip(target, low, high)), high)
    )
    start, stop = (at, above) if prediction.rises else (below, at)
    nodes, shares = np.polynomial.legendre.leggauss(NODES)
    half = (stop - start)[..., None] / 2.0
    off = (start + stop)[..., None] / 2.0 + half * nodes
    density = np.exp(log_expit(off) + log_expit(-off)) * shares * half
    moved = np.sinh(prediction.places[..., None] + prediction.scales[..., None] * off)
    beaten = (prediction.centre - target)[..., None, None] + prediction.unit[..., None, None] * moved
    gains = (density * np.abs(beaten)).sum(axis=-1)
    mass = (prediction.weights * (expit(above) - expit(below))).sum(axis=-1)
    gain: Array = (prediction.weights * gains).sum(axis=-1) / np.maximum(mass, TAIL)
    return gain


def _scaled(prediction: Prediction, value: float) -> Array:
    place = np.arcsinh((value - prediction.centre) / prediction.unit)[..., None]
    scaled: Array = np.clip((place - prediction.places) / prediction.scales, -REACH, REACH)
    return scaled
