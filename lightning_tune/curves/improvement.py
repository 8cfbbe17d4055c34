"""The expected improvement of a prediction on a target, in the metric's own units (Mockus 1975)."""

import numpy as np
import numpy.typing as npt
from scipy.special import expit

from lightning_tune.curves.prediction import TAIL, Prediction

Array = npt.NDArray[np.float64]


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
    below, at, above = (prediction.scaled(value) for value in (low, float(np.clip(target, low, high)), high))
    density, moved = prediction.quadrature(*((at, above) if prediction.rises else (below, at)))
    beaten = (prediction.centre - target)[..., None, None] + prediction.unit[..., None, None] * moved
    gains = (density * np.abs(beaten)).sum(axis=-1)
    mass = (prediction.weights * (expit(above) - expit(below))).sum(axis=-1)
    gain: Array = (prediction.weights * gains).sum(axis=-1) / np.maximum(mass, TAIL)
    return gain
