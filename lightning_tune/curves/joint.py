"""What the other trials of a sweep tell of a curve's end, by their hyperparameters.

After freeze-thaw (Swersky, Snoek & Adams, *Freeze-Thaw Bayesian Optimization*, 2014): a Gaussian process
over configurations has the curves' ends as observations, each as uncertain as its own extrapolation; a
curve's end is then believed by its own past and by what the process says of it from all others. Where both
are normal, the product is exact; here each part of the curve's own mixture is multiplied with the process's
distribution, so that the others choose among the parts too.
"""

import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy.linalg import cho_factor, cho_solve

from lightning_tune.curves.network import MOST_SCALE
from lightning_tune.curves.prediction import Prediction, gathered

Array = npt.NDArray[np.float64]
LENGTHS = (0.15, 0.3, 0.6, 1.2, 2.4)
"""Length scales that are tried, times the root of the number of dimensions."""
NUGGETS = (0.03, 0.3, 1.0)
"""Variances of what configurations do not explain, as shares of the process's; 1 leaves little to learn."""
SIZES = (0.5, 1.0, 2.0)
"""Variances of the process that are tried, as shares of the ends' own."""
COMMON = 0.5
"""How much of the ends' errors all curves share, as a part of their variance: they bend alike."""
LEAST_SD = 1e-3
LOGISTIC_SD = math.pi / math.sqrt(3.0)
WIDTHS = ((2.0, 0.45), (6.0, 0.3), (50.0, 0.17), (1e4, 0.08))
"""How many times wider than the process says its distribution is taken, and how often: ends are not normal,
and some curves have one of their own."""
FARTHEST = 4.0
"""An end beyond so many spreads is one that went wrong: it teaches the less the farther it is."""
FEWEST = 4
"""Curves with reports, below which nothing is shared."""
WITHIN_ONE = (0.16, 0.5, 0.84)
"""The quantiles that stand for an end: they are robust, where mean and deviation follow the tails."""
VAGUE = 2.0
"""The deviation, in spreads, of a curve's end of which neither it nor others tell anything."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Ruler:
    """Ends are measured as z = asinh((y - middle) / spread)."""

    middle: float
    spread: float

    def on(self, values: Array) -> Array:
        return np.asarray(np.arcsinh((values - self.middle) / self.spread))

    def off(self, z: Array) -> Array:
        return np.asarray(self.middle + self.spread * np.sinh(z))


def shared(found: Prediction, configs: Array) -> Prediction:
    """Return the predictions after each curve has heard of all others.

    Args:
        found: (num_curves, num_at), of each curve by itself; `centre` is NaN of one without a report.
        configs: (num_curves, num_dimensions).
    """
    each = [_shared_at(found.at(place), configs) for place in range(found.centre.shape[1])]
    return gathered(each, lambda arrays: np.stack(arrays, axis=1))


def _shared_at(found: Prediction, configs: Array) -> Prediction:
    """Do so for one step, (num_curves,)."""
    known = np.isfinite(found.centre)
    quantiles = np.full((len(known), len(WITHIN_ONE)), np.nan)
    quantiles[known] = found.rows(known).quantile(WITHIN_ONE)
    ruler = _ruler(quantiles[known, 1])
    if known.sum() < FEWEST:
        return _told_alone(found, known, ruler, np.zeros(len(known)), np.full(len(known), VAGUE))
    low, here, high = ruler.on(quantiles).T
    ends = np.clip(here, -FARTHEST, FARTHEST)
    mean, sd = _told(configs, ends, _doubts(low, high, here), known)
    return _told_alone(_multiplied(found, known, ruler, mean, sd), known, ruler, mean, sd)


def _ruler(ends: Array) -> _Ruler:
    """Return the middle and the spread of ends."""
    low, middle, high = (float(end) for end in np.percentile(ends, [25, 50, 75]))
    return _Ruler(middle=middle, spread=max(high - low, 1e-9 * max(abs(middle), 1e-9)))


def _doubts(low: Array, high: Array, here: Array) -> Array:
    """Return the deviation of each end, half of what lies between its 16 and 84% quantiles, on the ruler."""
    far = np.maximum(np.abs(here) - FARTHEST, 0.0)
    return np.asarray(np.maximum((high - low) / 2.0, LEAST_SD) + far)


def _told(configs: Array, ends: Array, doubts: Array, known: npt.NDArray[np.bool_]) -> tuple[Array, Array]:
    """Return mean and deviation of each end by all other curves, (num_curves,) each."""
    x, y, noise = configs[known], ends[known], doubts[known] ** 2
    share = 1.0 / (noise + np.var(y) + 1e-12)
    level = float(share @ y / share.sum())
    signal = max(float(share @ (y - level) ** 2 / share.sum()), LEAST_SD**2)
    apart = _apart(x, x)
    length, nugget, size = _likeliest(apart, y - level, noise, signal, x.shape[1])
    alike = size * (_matern(apart / length) + nugget * np.eye(len(x)))
    inverse = cho_solve(cho_factor(alike + np.diag(noise), lower=True), np.eye(len(x)))
    alpha, precision = inverse @ (y - level), np.diag(inverse)
    mean, variance = np.empty(len(ends)), np.empty(len(ends))
    mean[known] = y - alpha / precision  # leave one out: Rasmussen & Williams 2006, equation 5.12
    variance[known] = 1.0 / precision - noise
    cross = size * _matern(_apart(configs[~known], x) / length)
    mean[~known] = level + cross @ alpha
    variance[~known] = size * (1.0 + nugget) - ((cross @ inverse) * cross).sum(axis=1)
    influence = 1.0 / (noise + size)
    common = COMMON * float(influence @ noise / influence.sum())
    return mean, np.sqrt(np.maximum(variance, LEAST_SD**2) + common)


def _likeliest(
    apart: Array, y: Array, noise: Array, signal: float, dimensions: int
) -> tuple[float, float, float]:
    """Return length scale, nugget and variance under which the ends are likeliest."""
    best = (-math.inf, 1.0, 1.0, signal)
    for length in (math.sqrt(dimensions) * each for each in LENGTHS):
        alike = _matern(apart / length)
        for nugget in NUGGETS:
            for size in (signal * each for each in SIZES):
                covariance = size * (alike + nugget * np.eye(len(y))) + np.diag(noise)
                factor = cho_factor(covariance, lower=True, check_finite=False)
                fit = -0.5 * float(y @ cho_solve(factor, y)) - float(np.log(np.diag(factor[0])).sum())
                best = max(best, (fit, length, nugget, size))
    return best[1:]


def _multiplied(
    found: Prediction, known: npt.NDArray[np.bool_], ruler: _Ruler, mean: Array, sd: Array
) -> Prediction:
    """Multiply each curve's mixture with what the others say of it."""
    own = [np.asarray(each)[known] for each in (found.weights, found.places, found.scales)]
    centre, unit = found.centre[known], found.unit[known]
    low, here, high = (
        np.arcsinh((ruler.off((mean + side * sd)[known]) - centre) / unit)[:, None] for side in (-1, 0, 1)
    )
    said = np.maximum((high - low) / 2.0, LEAST_SD)
    parts = [_times(own, here, wide * said, share) for wide, share in WIDTHS]
    logs, places, scales = (np.concatenate(each, axis=1) for each in zip(*parts, strict=True))
    odds = np.exp(logs - logs.max(axis=1, keepdims=True))
    weights = odds / odds.sum(axis=1, keepdims=True)
    result = [np.repeat(each, len(WIDTHS), axis=1) for each in (found.weights, found.places, found.scales)]
    for whole, part in zip(result, (weights, places, scales), strict=True):
        whole[known] = part
    return replace(found, weights=result[0], places=result[1], scales=result[2])


def _times(own: list[Array], here: Array, said: Array, share: float) -> tuple[Array, Array, Array]:
    """Return log weights, places and scales of parts times share N(here, said^2), parts taken as normal."""
    weights, places, scales = own
    first, second = (LOGISTIC_SD * scales) ** 2, said**2
    logs = np.log(np.maximum(weights, 1e-300)) + math.log(share)
    logs -= 0.5 * ((places - here) ** 2 / (first + second) + np.log(first + second))
    place = (places * second + here * first) / (first + second)
    return logs, place, np.sqrt(first * second / (first + second)) / LOGISTIC_SD


def _told_alone(
    found: Prediction, known: npt.NDArray[np.bool_], ruler: _Ruler, mean: Array, sd: Array
) -> Prediction:
    """Give a curve without reports what the others say of it."""
    unknown = ~known
    weights, places, scales = (each.copy() for each in (found.weights, found.places, found.scales))
    weights[unknown] = 1.0 / weights.shape[1]
    places[unknown] = mean[unknown, None]
    scales[unknown] = np.clip(sd[unknown, None] / LOGISTIC_SD, LEAST_SD, MOST_SCALE)
    return replace(
        found,
        centre=np.where(known, found.centre, ruler.middle),
        unit=np.where(known, found.unit, ruler.spread),
        weights=weights,
        places=places,
        scales=scales,
    )


def _apart(first: Array, second: Array) -> Array:
    square = (first**2).sum(axis=1)[:, None] + (second**2).sum(axis=1) - 2.0 * first @ second.T
    return np.asarray(np.sqrt(np.maximum(square, 0.0)))


def _matern(r: Array) -> Array:
    """Return the Matérn-5/2 correlation."""
    scaled = math.sqrt(5.0) * r
    return np.asarray((1.0 + scaled + scaled**2 / 3.0) * np.exp(-scaled))
