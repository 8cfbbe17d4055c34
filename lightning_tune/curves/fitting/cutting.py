"""What the network learns from: curves that are cut off somewhere, and what they had come to later.

Each curve is seen at every step and at every second, third, ... one; half of the time some are mixed with
others of their data set and some have more noise.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lightning_tune.curves.anchors import Anchors
from lightning_tune.curves.features import Seen, see
from lightning_tune.curves.fitting.drawing import draw

Array = npt.NDArray[np.float64]
STRIDES = (1, 1, 2, 3, 5, 8, 12)
SHORTEST = 9
"""Reports of a curve that are left when it is thinned out."""
CURVES = 300
"""Of a data set at a time."""
DRAWN_LENGTHS = (50, 200)
TO_THE_END = 0.5
"""How often a curve is asked about its end; else about a step before it."""
VARIED = 0.25
"""How many curves are mixed with another one, and how many have more noise."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Pool:
    """Curves that were cut off.

    Attributes:
        columns: (num, num_columns), what is seen of them.
        anchors: what the network starts from, (num,) of each.
        outcomes: (num,), what they had come to, as v = asinh((y - centre) / unit).
        owner: (num,), the number of the data set; those that were drawn come last.
        num_drawn: how many data sets were drawn.
    """

    columns: Array
    anchors: Anchors
    outcomes: Array
    owner: npt.NDArray[np.int64]
    num_drawn: int = len(DRAWN_LENGTHS)


def pool(sets: Sequence[Array], rng: np.random.Generator, *, cuts: int) -> Pool:
    """Return cut curves of all data sets, and of two that are drawn from the families.

    Args:
        sets: costs (num_curves, num_steps) of each data set, NaN where there is no report.
        rng: decides which curves, and where they are cut.
        cuts: how often `CURVES` of a data set are cut.
    """
    drawn = [draw(2 * CURVES, length, rng) for length in DRAWN_LENGTHS]
    seen, outcomes, owner = [], [], []
    for place, costs in enumerate([*sets, *drawn]):
        for number in range(cuts):
            chosen = costs[rng.permutation(len(costs))[:CURVES]]
            for found, came in _cut(chosen, number % 2 == 1, rng):
                seen.append(found)
                outcomes.append(came)
                owner.append(np.full(len(came), place))
    anchors = [each.anchors.rows() for each in seen]
    return Pool(
        columns=np.concatenate([each.columns[:, 0] for each in seen]),
        anchors=Anchors(
            places=np.concatenate([each.places for each in anchors]),
            doubts=np.concatenate([each.doubts for each in anchors]),
            lowest=np.concatenate([each.lowest for each in anchors]),
            highest=np.concatenate([each.highest for each in anchors]),
        ),
        outcomes=np.concatenate(outcomes),
        owner=np.concatenate(owner),
    )


def _cut(costs: Array, varied: bool, rng: np.random.Generator) -> Iterator[tuple[Seen, Array]]:
    """Yield what is seen of the curves up to a step, and what they come to at a later one."""
    strides = [stride for stride in STRIDES if costs.shape[1] // stride >= SHORTEST]
    stride = strides[rng.integers(len(strides))]
    thinned = costs[:, stride - 1 :: stride]
    if varied:
        thinned = vary(thinned, rng)
    length = thinned.shape[1]
    known = min(max(1, int(np.ceil(length * rng.uniform(0.02, 0.95) ** 1.3))), length - 1)
    at = length if rng.random() < TO_THE_END else int(rng.integers(known + 1, length + 1))
    whole = np.isfinite(thinned[:, :known]).all(axis=1) & np.isfinite(thinned[:, at - 1])
    if whole.any():
        kept = thinned[whole]
        found = see(np.arange(1.0, known + 1), kept[:, :known], np.array([float(at)]))
        yield found, np.arcsinh((kept[:, at - 1] - found.centre) / found.unit)


def vary(costs: Array, rng: np.random.Generator) -> Array:
    """Return curves of which a quarter is mixed with another one, and a quarter has more noise."""
    number = len(costs)
    mixed, noisy = rng.random((2, number, 1)) < VARIED
    share = rng.random((number, 1))
    with np.errstate(invalid="ignore", over="ignore"):
        varied = np.where(mixed, share * costs + (1 - share) * costs[rng.permutation(number)], costs)
        steps = np.abs(np.diff(varied, axis=1))
    known = np.isfinite(steps).any(axis=1)
    unit = np.zeros(number)
    unit[known] = np.nanmedian(steps[known], axis=1)
    more = unit * np.exp(rng.uniform(-1, 2, number))
    return np.where(noisy, varied + more[:, None] * rng.standard_normal(costs.shape), varied)
