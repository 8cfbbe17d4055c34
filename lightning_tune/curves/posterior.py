"""From partial curves to what they will come to: the one function that everything else calls.

Two stages. The families' exact mixture (`bank.py`) says where a curve of that kind would lead; it knows
nothing of learning rates that drop, of plateaus before a rise, or of divergence. A small network
(`network.py`), trained on real curves that were cut off and on draws from the families, takes that together
with the curve itself and says how far to trust it. It won against the mixture alone, which
`benchmarks/curves.py` shows beside it.
"""

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from lightning_tune.curves.bounds import Bounds, limits
from lightning_tune.curves.features import see
from lightning_tune.curves.flat import flat_parts, is_flat
from lightning_tune.curves.joint import shared
from lightning_tune.curves.network import MOST_SCALE, Network, Parts, shipped
from lightning_tune.curves.prediction import Prediction
from lightning_tune.errors import ArgumentError

Array = npt.NDArray[np.float64]
HUGE = 1e30
"""What an infinite report counts as."""
ROUNDED = 1e-6
"""By how much of its size a bound may be missed: float32 has accuracies of 1.0000001."""
KNOWN = 1e-6
"""The scale, in units of the metric's size, of a step that was reported."""


def extrapolate(
    curves: npt.ArrayLike,
    *,
    at: npt.ArrayLike,
    mode: str,
    bounds: Bounds | None = None,
    configs: npt.ArrayLike | None = None,
) -> Prediction:
    """Return what partial learning curves will have come to at later steps, as distributions.

    Args:
        curves: (num_curves, num_steps), a report a step, NaN where there is none. Infinite ones count as
            huge.
        at: the step to predict, counted from 1: a number, (num_curves,) or (num_curves, num_at); the same
            several ones for all curves are `np.tile([20, 50], (num_curves, 1))`. A step that was reported, or
            lies between two that were, is predicted as it was; one before the first report as that.
        mode: "max" where higher is better, else "min".
        bounds: (low, high) that the metric cannot leave, None for no bound: (0, 1) of an accuracy, (0, None)
            of most losses. Without them a curve that has hardly begun may be led anywhere.
        configs: (num_curves, num_dimensions), hyperparameters scaled to between 0 and 1. Given, the curves
            are taken to be trials of one sweep, and what they come to teaches about each other's end. A curve
            without any report is then predicted from the others alone.

    Returns:
        distributions of shape (num_curves,), or (num_curves, num_at) if `at` has two axes.

    Raises:
        ArgumentError: an argument of another shape or kind, a curve without reports, or with reports out of
            bounds.

    Example:
        >>> import numpy as np
        >>> steps = np.arange(1.0, 9.0)
        >>> losses = np.stack([2.0 * steps**-0.5, 1.0 + steps**-1.0])
        >>> found = extrapolate(losses, at=100, mode="min")
        >>> found.prob_better(0.9).round(1).tolist()
        [1.0, 0.0]
    """
    return extrapolate_by(shipped(), curves, at=at, mode=mode, bounds=bounds, configs=configs)


def extrapolate_by(
    network: Network,
    curves: npt.ArrayLike,
    *,
    at: npt.ArrayLike,
    mode: str,
    bounds: Bounds | None = None,
    configs: npt.ArrayLike | None = None,
) -> Prediction:
    """Do what `extrapolate` does, with another network than the one that comes with the package."""
    if mode not in ("min", "max"):
        raise ArgumentError(f'`mode` must be "min" or "max", got {mode!r}.')
    values = _curves(curves)
    within = _bounds(bounds, values)
    values = np.clip(values, *within)
    wanted, flat = _at(at, len(values))
    places = None if configs is None else _configs(configs, len(values))
    _check_reports(values, joint=places is not None)
    sign = -1.0 if mode == "max" else 1.0
    found = predict(sign * np.clip(values, -HUGE, HUGE), wanted, network)
    if places is not None:
        found = shared(found, places)
    found = replace(
        found, centre=sign * found.centre, places=sign * found.places, bounds=within, rises=mode == "max"
    )
    return found.at(0) if flat else found


def predict(costs: Array, at: Array, network: Network) -> Prediction:
    """Return predictions of costs (num_curves, num_steps) at steps (num_curves, num_at), without bounds.

    Curves that were reported at the same steps and are asked about the same ones are predicted together. One
    without a report has no centre (NaN).
    """
    shape, parts = at.shape, network.num_parts + 1
    centre, unit = np.full((2, *shape), np.nan)
    weights, places, scales = np.empty((3, *shape, parts))
    weights[:], places[:], scales[:] = 1.0 / parts, 0.0, MOST_SCALE
    for rows in _alike(np.concatenate([np.isfinite(costs).astype(np.float64), at], axis=1)):
        given = np.isfinite(costs[rows[0]])
        steps = np.flatnonzero(given).astype(np.float64) + 1.0
        ends = at[rows[0]]
        if not len(steps):
            continue
        known, later = costs[np.ix_(rows, given)], ends > steps[-1]
        flat = is_flat(steps, known)
        for chosen, look in ((~flat, _moved), (flat, _flat)):
            if later.any() and chosen.any():
                cells = np.ix_(rows[chosen], later)
                units, found = look(network, steps, known[chosen], ends[later])
                centre[cells], unit[cells] = known[chosen, -1:], units[:, None]
                weights[cells], places[cells], scales[cells] = found.weights, found.places, found.scales
        for column in np.flatnonzero(~later):
            centre[rows, column] = [np.interp(ends[column], steps, one) for one in known]
            unit[rows, column] = KNOWN * np.maximum(np.abs(centre[rows, column]), KNOWN)
    return Prediction(
        centre=centre,
        unit=unit,
        weights=weights,
        places=places,
        scales=scales,
        bounds=(-math.inf, math.inf),
        rises=False,
    )


def _moved(network: Network, steps: Array, costs: Array, at: Array) -> tuple[Array, Parts]:
    """Return units and mixtures of curves that have moved; the last part has no weight."""
    seen = see(steps, costs, at)
    parts = network.parts(seen.columns, seen.anchors)
    none = np.zeros((*parts.weights.shape[:-1], 1))
    return seen.unit, Parts(
        weights=np.concatenate([parts.weights, none], axis=-1),
        places=np.concatenate([parts.places, none], axis=-1),
        scales=np.concatenate([parts.scales, none + MOST_SCALE], axis=-1),
    )


def _flat(network: Network, steps: Array, costs: Array, at: Array) -> tuple[Array, Parts]:
    return flat_parts(network, steps, costs[:, -1], at)


def _alike(keys: Array) -> Iterator[npt.NDArray[np.int64]]:
    """Yield the numbers of the rows that are equal, group by group."""
    _, group = np.unique(keys, axis=0, return_inverse=True)
    group = group.ravel()  # (rows, 1) in NumPy 2.0 alone
    order = np.argsort(group, kind="stable")
    yield from np.split(order, np.flatnonzero(np.diff(group[order])) + 1)


def _curves(given: Any) -> Array:
    values = _numbers("curves", given, "rows of numbers, all of one length (NaN where there is no report)")
    if values.ndim != 2 or not values.size:
        raise ArgumentError(
            "`curves` must have the shape (num_curves, num_steps), one row for a single curve, got "
            f"{values.shape}."
        )
    return values


def _numbers(name: str, given: Any, kind: str) -> Array:
    """Return an array of floats; what is masked is NaN.

    Raises:
        ArgumentError: it cannot be made.
    """
    try:
        if isinstance(given, np.ma.MaskedArray):
            return np.where(np.ma.getmaskarray(given), np.nan, given.astype(np.float64).data)
        return np.asarray(given, dtype=np.float64)
    except (TypeError, ValueError, RuntimeError, OverflowError) as error:
        shown = type(given).__name__
        raise ArgumentError(f"`{name}` must be {kind}, got {shown} ({error}).") from error


def _at(given: Any, number: int) -> tuple[Array, bool]:
    """Return the steps as (num_curves, num_at), and whether one a curve was asked for."""
    steps = _numbers("at", given, "steps, counted from 1")
    if steps.ndim > 2 or (steps.ndim > 0 and len(steps) != number):
        raise ArgumentError(
            f"`at` must be a step, ({number},) or ({number}, num_at) of them for {number} curves, got the "
            f"shape {steps.shape}."
        )
    if not np.isfinite(steps).all() or (steps < 1).any():
        raise ArgumentError(f"`at` must be steps of at least 1, got {float(steps.min()):g}.")
    return (steps, False) if steps.ndim == 2 else (np.broadcast_to(steps.reshape(-1, 1), (number, 1)), True)


def _bounds(given: Any, values: Array) -> tuple[float, float]:
    low, high = limits(given)
    known = values[~np.isnan(values)]
    size = ROUNDED * max([1.0, *(abs(end) for end in (low, high) if math.isfinite(end))])
    out = known[(known < low - size) | (known > high + size)]
    if len(out):
        raise ArgumentError(f"`bounds` of {given!r} do not hold: a value is {out[0]:.9g}.")
    return low, high


def _configs(given: Any, number: int) -> Array:
    places = _numbers("configs", given, "rows of numbers in the unit cube")
    if places.ndim != 2 or len(places) != number or not places.shape[1]:
        raise ArgumentError(f"`configs` must have the shape ({number}, num_dimensions), got {places.shape}.")
    if not ((places >= 0) & (places <= 1)).all():
        raise ArgumentError("`configs` must lie in the unit cube, from 0 to 1 in each dimension.")
    return places


def _check_reports(values: Array, joint: bool) -> None:
    bare = np.flatnonzero(np.isnan(values).all(axis=1))
    if len(bare) and (not joint or len(bare) == len(values)):
        raise ArgumentError(
            f"`curves` must have a report each, curve {bare[0]} has none; with `configs` others may stand in "
            "for it."
        )
