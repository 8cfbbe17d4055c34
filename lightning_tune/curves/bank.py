"""A bank of shapes from the parametric families, and what their exact mixture says of a curve's future.

Each shape is a family with its non-linear parameters fixed, from 0 at the first step to 1 far away; level
and amplitude are integrated out in closed form (`conjugate.py`). Time constants are spread evenly over the
logarithm, from below one step to thousands.
"""

from dataclasses import dataclass
from functools import lru_cache

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
UNITS = (0.3, 0.03)
"""Where the noise may have its scale: most of what neighbours differ by, or little where a curve is steep."""
TEMPERS = (0.45, 1.0)
"""Powers of the evidence: noise of real curves is correlated, so they may say less than they seem to."""
QUANTILES = (0.1, 0.5, 0.9)
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
    for shift in (1e-9, 1.0, 4.0, 12.0, 40.0, 200.0):
        found += [("pow4", (0.0, 1.0, shift, power)) for power in (0.1, 0.2, 0.35, 0.5, 0.7, 1.0, 1.4, 2.0)]
    found += [
        ("inverse_log", (0.0, 1.0)),
        ("log_log_linear", (1.0, 1.0)),
        ("vapour_pressure", (0.0, 1.0, -0.5)),
    ]
    return tuple((name, parameters) for name, parameters in found if _span(name, parameters) > LEAST_SPAN)


def _span(name: str, parameters: tuple[float, ...]) -> float:
    """Return how far a shape moves from the first step to `FAR`."""
    first, last = FAMILIES[name].value([1.0, FAR], parameters)
    return abs(float(last - first))


def shapes_at(times: Array) -> Array:
    """Return all shapes at times, of shape (num_shapes, num_times): 0 at time 1, 1 at `FAR`."""
    shapes = np.empty((len(bank()), len(times)))
    for name, rows, parameters, first, span in _by_family():
        shapes[rows] = (FAMILIES[name].value(times, parameters) - first) / span
    return shapes


@lru_cache(maxsize=1)
def _by_family() -> list[tuple[str, list[int], Array, Array, Array]]:
    """Return each family's name, rows and parameters, and the shapes' first values and spans, (num, 1)."""
    found = []
    for name in dict.fromkeys(name for name, _ in bank()):
        rows = [place for place, (other, _) in enumerate(bank()) if other == name]
        parameters = np.array([bank()[row][1] for row in rows])
        first, last = np.split(FAMILIES[name].value([1.0, FAR], parameters), 2, axis=1)
        found.append((name, rows, parameters, first, last - first))
    return found


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Outlook:
    """What the mixture says of curves at a later time, in v = asinh(value); all are (num_curves,).

    Attributes:
        mean: of the parts' means.
        spread: their standard deviation.
        log_scale: the mean logarithm of the parts' scales, these in units of the noise.
        quantiles: (num_curves, 3), 10, 50 and 90% of the parts' means.
    """

    mean: Array
    spread: Array
    log_scale: Array
    quantiles: Array

    @property
    def columns(self) -> Array:
        """All of it, (num_curves, 6)."""
        return np.column_stack([self.mean, self.spread, self.log_scale, self.quantiles])

    @property
    def place(self) -> Array:
        """The median."""
        return self.quantiles[:, 1]

    @property
    def doubt(self) -> Array:
        """How far off the median may be: how far the parts are apart, and how wide they are."""
        return np.asarray(np.hypot(self.spread, np.exp(self.log_scale) / np.cosh(self.place)))


def outlook(times: Array, moved: Array, end: float) -> list[Outlook]:
    """Return what the mixture says, once for each power of the evidence in `TEMPERS`.

    Args:
        times: (num_times,), ascending, from about 1.
        moved: (num_curves, num_times), from the last value, in units of the noise.
        end: the later time.
    """
    clock, values, counts = _thinned(times, moved)
    shapes = shapes_at(np.append(clock, end))
    parts = [
        (part, priors[column])
        for column, drift in enumerate(DRIFTS)
        for part, priors in zip(
            forecasts(clock, values, counts, end, shapes, sizes=SIZES, units=UNITS, drift=drift),
            np.repeat(SETTINGS, len(UNITS), axis=0),
            strict=True,
        )
    ]
    means = np.arcsinh(np.concatenate([part.mean for part, _ in parts], axis=1))
    scales = np.log(np.concatenate([part.scale for part, _ in parts], axis=1))
    evidence = np.concatenate([part.log_evidence for part, _ in parts], axis=1)
    priors = np.concatenate([np.full(part.mean.shape[1], np.log(prior)) for part, prior in parts])
    order = np.argsort(means, axis=1)
    ranked = np.take_along_axis(means, order, axis=1)
    found = []
    for temper in TEMPERS:
        logs = temper * evidence + priors
        weights = np.exp(logs - logs.max(axis=1, keepdims=True))
        weights /= weights.sum(axis=1, keepdims=True)
        mean = (weights * means).sum(axis=1)
        found.append(
            Outlook(
                mean=mean,
                spread=np.sqrt(np.maximum((weights * means**2).sum(axis=1) - mean**2, 0.0)),
                log_scale=(weights * scales).sum(axis=1),
                quantiles=_quantiles(ranked, np.take_along_axis(weights, order, axis=1)),
            )
        )
    return found


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


def _quantiles(ranked: Array, weights: Array) -> Array:
    """Return weighted quantiles of each ascending row, of shape (num_rows, num_quantiles)."""
    passed = np.cumsum(weights, axis=1)
    places = [np.minimum((passed < q).sum(axis=1), ranked.shape[1] - 1) for q in QUANTILES]
    return np.stack([ranked[np.arange(len(ranked)), place] for place in places], axis=1)
