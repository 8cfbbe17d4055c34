"""Costs as the model sees them: of mean 0 and deviation 1 over the space, with a long bad tail drawn in.

A loss that explodes says "not here", not how bad. So costs are measured from the best one in units of the
median's distance to it, u, and of four power transforms (Yeo & Johnson 2000), from u itself over log(1 + u)
to one that levels off, the one is taken under which they look most like a normal distribution. All leave the
good side, where precision counts, as it is. A failed trial is as bad as the worst.

A search gathers around the best points, and its costs there would soon be all that mean and deviation tell
of. So each counts for less where others are near: together they count as one.
"""

from dataclasses import dataclass

import numpy as np

from lightning_tune.search.gp.kernel import Vector

POWERS = (1.0, 0.5, 0.0, -0.5)
PLAIN = 0.5
"""How much likelier a transform must make the costs than none does, in the logarithm."""
LEAST = 1e-100
"""A smaller unit, as a share of the largest cost, is none: squares of what it measures would overflow."""
FEW = 5
"""With fewer costs nothing is said of a tail."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Standard:
    """Costs in the model's unit.

    Attributes:
        costs: (num,), all finite.
        scale: how much of the objective's own unit 1 is, near the best.
    """

    costs: Vector
    scale: float


def standardise(costs: Vector, crowding: Vector | None = None) -> Standard:
    """Return costs, +inf for failures, in the model's unit.

    Args:
        costs: (num,).
        crowding: (num,), how many costs are from about the same place; each has one of its own by default.
    """
    finite = np.isfinite(costs)
    if not finite.any():
        return Standard(costs=np.zeros_like(costs), scale=1.0)
    share = np.ones(int(finite.sum())) if crowding is None else 1.0 / crowding[finite]
    size = float(np.abs(costs[finite]).max()) or 1.0  # so that nothing overflows
    above = costs[finite] / size
    above = above - above.min()
    unit = _median(above, share)
    unit = unit if unit > LEAST else float(np.average(above, weights=share))
    unit = unit if unit > LEAST else 1.0
    drawn_in = _drawn_in(above / unit, share)
    mean, deviation = _moments(drawn_in, share)
    deviation = deviation if deviation > 1e-12 else 1.0
    filled = np.full_like(costs, drawn_in.max())
    filled[finite] = drawn_in
    return Standard(costs=(filled - mean) / deviation, scale=max(deviation * unit * size, 1e-300))


def _drawn_in(above: Vector, share: Vector) -> Vector:
    """Return the power transform of costs above the best that looks most like a normal distribution."""
    if len(above) < FEW:
        return above
    logs = np.log1p(above)
    best, likeliest = above, -np.inf
    for power in POWERS:
        moved = logs if power == 0.0 else np.expm1(power * logs) / power
        spread = max(_moments(moved, share)[1], 1e-12)
        log_density = (power - 1.0) * float(share @ logs) - float(share.sum()) * np.log(spread)
        log_density += PLAIN if power == 1.0 else 0.0
        if log_density > likeliest:
            best, likeliest = moved, log_density
    return best


def _moments(values: Vector, share: Vector) -> tuple[float, float]:
    """Return mean and standard deviation."""
    mean = float(np.average(values, weights=share))
    return mean, float(np.sqrt(np.average((values - mean) ** 2, weights=share)))


def _median(values: Vector, share: Vector) -> float:
    order = np.argsort(values, kind="stable")
    passed = np.cumsum(share[order])
    return float(values[order][np.searchsorted(passed, passed[-1] / 2.0)])
