"""A bank of shapes from the parametric families, and what their exact mixture says of a curve's future.

Each shape is a family with its non-linear parameters fixed, from 0 at the first step to 1 far away; level
and amplitude are integrated out in closed form (`conjugate.py`). Time constants are spread evenly over the
logarithm, from below one step to thousands.
"""

from functools import cache, lru_cache

import numpy as np
import numpy.typing as npt

from lightning_tune.curves.conjugate import forecasts
from lightning_tune.curves.families import FAMILIES

Array = npt.NDArray[np.float64]
TIMES = np.geomspace(0.3, 3000.0, 13)
SIZES = (1.0, 5.0, 25.0, 150.0, 1000.0)
"""Amplitudes in units of the noise: from flat to nearly without noise."""
DRIFTS = (0.0, 0.05, 0.5, 5.0)
SETTINGS = (
    (0.05, 0.03, 0.02, 0.02),
    (0.02, 0.02, 0.02, 0.02),
    (0.10, 0.08, 0.10, 0.15),
    (0.05, 0.05, 0.05, 0.10),
    (0.10, 0.08, 0.08, 0.02),
)
"""The prior weight of each size (row) and drift, up to a factor."""
TEMPER = 0.45
"""The power of the evidence: noise of real curves is correlated, so they say less than they seem to."""
FAR = 1e5
LEAST_SPAN = 1e-3
"""A shape that moves less from the first step to `FAR` is over before it begins."""
MOST = 48
"""A longer curve is averaged to so many observations."""


@lru_cache(maxsize=1)
def bank() -> tuple[tuple[str, tuple[float, ...]], ...]:
    """Return the shapes: a family and its parameters."""
    found: list[tuple[str, tuple[float, ...]]] = []
    for time in TIMES:
        found += [("weibull", (1.0, 0.0, 1.0 / time, power)) for power in (0.5, 1.0, 1.5, 3.0)]
        found += [("mmf", (1.0, 0.0, 1.0 / time, power)) for power in (0.5, 1.0, 2.0, 4.0)]
    for shift in (1e-9, 1.0, 2.0, 6.0, 20.0, 60.0, 200.0):
        found += [("pow4", (0.0, 1.0, shift, power)) for power in (0.1, 0.3, 0.6, 1.0, 2.0)]
    found += [
        ("inverse_log", (0.0, 1.0)),
        ("log_log_linear", (1.0, 1.0)),
        ("vapour_pressure", (0.0, 1.0, -0.5)),
    ]
    return tuple(entry for entry in found if abs(_span(*entry)) > LEAST_SPAN)


def shapes_at(times: Array) -> Array:
    """Return all shapes at times, of shape (num_shapes, num_times): 0 at time 1, 1 at `FAR`."""
    return np.stack(
        [
            (FAMILIES[name].value(times, parameters) - _first(name, parameters)) / _span(name, parameters)
            for name, parameters in bank()
        ]
    )


@cache
def _first(name: str, parameters: tuple[float, ...]) -> float:
    return float(FAMILIES[name].value([1.0], parameters)[0])


@cache
def _span(name: str, parameters: tuple[float, ...]) -> float:
    return float(FAMILIES[name].value([FAR], parameters)[0]) - _first(name, parameters)


def outlook(times: Array, moved: Array, end: float) -> Array:
    """Return what the mixture says of curves at a later time, in v = asinh(value).

    Args:
        times: (num_times,), ascending, from about 1.
        moved: (num_curves, num_times), from the last value, in units of the noise.
        end: the later time.

    Returns:
        (num_curves, 6): mean and standard deviation of the parts' means, the mean logarithm of their scales,
        and the 10, 50 and 90% quantiles of their means.
    """
    clock, values, counts = _thinned(times, moved)
    shapes = shapes_at(np.append(clock, end))
    parts = [
        (part, priors[column])
        for column, drift in enumerate(DRIFTS)
        for part, priors in zip(
            forecasts(clock, values, counts, end, shapes, sizes=SIZES, drift=drift), SETTINGS, strict=True
        )
    ]
    logs = np.concatenate([TEMPER * part.log_evidence + np.log(prior) for part, prior in parts], axis=1)
    weights = np.exp(logs - logs.max(axis=1, keepdims=True))
    weights /= weights.sum(axis=1, keepdims=True)
    means = np.arcsinh(np.concatenate([part.mean for part, _ in parts], axis=1))
    scales = np.log(np.concatenate([part.scale for part, _ in parts], axis=1))
    mean = (weights * means).sum(axis=1)
    spread = np.sqrt(np.maximum((weights * means**2).sum(axis=1) - mean**2, 0.0))
    quantiles = _quantiles(means, weights, (0.1, 0.5, 0.9))
    return np.column_stack([mean, spread, (weights * scales).sum(axis=1), quantiles])


def _thinned(times: Array, values: Array) -> tuple[Array, Array, Array]:
    """Return at most `MOST` means of neighbours: times, values and how many each stands for."""
    if len(times) <= MOST:
        return times, values, np.ones(len(times))
    edges = np.unique(np.round(np.linspace(0, len(times), MOST + 1)).astype(np.int64))
    counts = np.diff(edges).astype(np.float64)
    return (
        np.add.reduceat(times, edges[:-1]) / counts,
        np.add.reduceat(values, edges[:-1], axis=1) / counts,
        counts,
    )


def _quantiles(means: Array, weights: Array, wanted: tuple[float, ...]) -> Array:
    """Return weighted quantiles of each row, of shape (num_rows, num_wanted)."""
    order = np.argsort(means, axis=1)
    means, passed = (np.take_along_axis(each, order, axis=1) for each in (means, weights))
    passed = np.cumsum(passed, axis=1)
    places = [np.minimum((passed < q).sum(axis=1), means.shape[1] - 1) for q in wanted]
    return np.stack([means[np.arange(len(means)), place] for place in places], axis=1)
