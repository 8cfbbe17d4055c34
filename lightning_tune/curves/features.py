"""What the network sees of a curve so far: numbers without unit, the same for every metric.

Values are taken from the last report, in units of the curve's own noise (the median difference of
neighbouring reports), and drawn in by asinh; time is counted in reports. Costs: lower is better.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lightning_tune.curves.anchors import Anchors, anchors_of
from lightning_tune.curves.bank import outlook
from lightning_tune.curves.noise import TINY, noise
from lightning_tune.curves.power_law import fit_power_law

Array = npt.NDArray[np.float64]
POSITIONS = (0.0, 0.05, 0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9, 0.95)
"""Places along the curve at which its level is looked at."""
TAILS = (0.2, 0.5, 1.0)
"""Shares of the curve that slopes are taken over."""
TINY_DOUBT = 1e-3
LARGEST = 30.0
"""A feature is cut off there: a loss of a trillion units is no worse than one of a billion."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Seen:
    """Curves as the network sees them.

    Attributes:
        columns: (num_curves, num_at, num_columns).
        anchors: what the network starts from, (num_curves, num_at) of each.
        centre: (num_curves,), the last report.
        unit: (num_curves,), the noise.
    """

    columns: Array
    anchors: Anchors
    centre: Array
    unit: Array


def see(steps: Array, costs: Array, at: Array) -> Seen:
    """Return what the network sees of curves that were reported at the same steps.

    Args:
        steps: (num_steps,), ascending, from 1.
        costs: (num_curves, num_steps), finite.
        at: (num_at,), later steps.
    """
    spacing = float(np.median(np.diff(steps))) if len(steps) > 1 else float(steps[0])
    times, ends = steps / spacing, at / spacing
    unit = noise(costs)
    moved = (costs - costs[:, -1:]) / unit[:, None]
    size = np.log(unit / (np.abs(costs[:, -1]) + TINY) + 1e-7)
    shape = np.column_stack([*_levels(moved), *_extremes(moved), size])
    found = [_ahead(times, moved, shape, float(end)) for end in ends]
    columns = np.clip(np.stack([each for each, _ in found], axis=1), -LARGEST, LARGEST)
    anchors = Anchors(
        places=np.stack([each.places for _, each in found], axis=1),
        doubts=np.stack([each.doubts for _, each in found], axis=1),
        lowest=np.stack([each.lowest for _, each in found], axis=1),
        highest=np.stack([each.highest for _, each in found], axis=1),
    )
    return Seen(columns=columns, anchors=anchors, centre=costs[:, -1], unit=unit)


def _ahead(times: Array, moved: Array, shape: Array, end: float) -> tuple[Array, Anchors]:
    """Return what is seen with one later time in view, (num_curves, num_columns), and the guesses there."""
    cautious, plain = outlook(times, moved, end)
    law = fit_power_law(times, moved, end)
    place = np.arcsinh(law.end)
    when = [np.log(times[-1]), np.log(len(times)), np.log(end / times[-1]), min(len(times), 5) / 5]
    columns = [
        shape,
        *_slopes(times, moved, end),
        cautious.columns,
        plain.columns,
        place,
        np.log(law.doubt + TINY_DOUBT),
        np.log(law.power),
        np.tile(when, (len(moved), 1)),
    ]
    guesses = (plain.place, plain.doubt), (place, law.doubt / np.cosh(place))
    return np.column_stack(columns), anchors_of(moved, *guesses)


def _levels(moved: Array) -> list[Array]:
    """Return the local median at each position."""
    last = moved.shape[1] - 1
    reach = int(0.04 * moved.shape[1])
    levels = []
    for position in POSITIONS:
        middle = round(position * last)
        near = moved[:, max(0, middle - reach) : middle + reach + 1]
        levels.append(np.arcsinh(np.median(near, axis=1)))
    return levels


def _extremes(moved: Array) -> list[Array]:
    """Return the mean of the tail, the best, the worst, a high quantile, and how restless the tail is."""
    number = moved.shape[1]
    tail = moved[:, max(0, number - max(2, number // 5)) :]
    recent = np.abs(np.diff(moved[:, -(max(1, number // 4) + 1) :], axis=1))
    restless = recent.mean(axis=1) if number > 1 else np.ones(len(moved))
    return [
        np.arcsinh(tail.mean(axis=1)),
        np.arcsinh(moved.min(axis=1)),
        np.arcsinh(moved.max(axis=1)),
        np.arcsinh(np.quantile(moved, 0.9, axis=1)),
        np.log(restless + 1e-3),
        np.log(tail.std(axis=1) + 1e-2),
    ]


def _slopes(times: Array, moved: Array, end: float) -> list[Array]:
    """Return how far each tail's straight line leads until the end, over time and over its logarithm."""
    found = []
    for share in TAILS:
        number = min(max(2, int(share * len(times))), len(times))
        for clock, left in ((times, end - times[-1]), (np.log(times), np.log(end / times[-1]))):
            along = clock[-number:] - clock[-number:].mean()
            square = float(along @ along)
            slope = moved[:, -number:] @ along / square if square > 0 else np.zeros(len(moved))
            found.append(np.arcsinh(slope * left))
    return found
