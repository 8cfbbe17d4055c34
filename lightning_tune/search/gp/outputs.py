"""Costs as the model sees them: centred and scaled, with their bad tail drawn in.

A loss that explodes says "not here", not how bad: what lies beyond the median by over three times what the
good tenth lies below it counts as its logarithm, up to three times as much again. The good side, where
precision counts, stays linear. A failed trial is as bad as the worst that is left.
"""

from dataclasses import dataclass

import numpy as np

from lightning_tune.search.gp.kernel import Vector

TAIL = 3.0
"""How far above the median costs stay linear, in units of the median's distance to the best tenth."""
FEW = 5
"""With fewer costs nothing is said of a tail."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Standard:
    """Costs in the model's unit.

    Attributes:
        costs: (num,), with mean 0 and deviation 1, all finite.
        scale: how much of the objective's own unit 1 is.
    """

    costs: Vector
    scale: float


def standardise(costs: Vector) -> Standard:
    """Return costs, +inf for failures, in the model's unit."""
    finite = np.isfinite(costs)
    if not finite.any():
        return Standard(costs=np.zeros_like(costs), scale=1.0)
    known = costs[finite]
    middle = float(np.median(known))
    good = middle - float(np.quantile(known, 0.1))
    if len(known) >= FEW and good > 0.0:
        bound = middle + TAIL * good
        beyond = np.log1p(np.maximum(known - bound, 0.0) / good)
        known = np.minimum(known, bound) + good * np.minimum(beyond, TAIL)
    filled = np.full_like(costs, known.max())
    filled[finite] = known
    size = float(np.abs(filled).max()) or 1.0  # so that nothing overflows
    filled = filled / size
    spread = float(filled.std())
    spread = spread if spread > 1e-12 else 1.0
    return Standard(costs=(filled - filled.mean()) / spread, scale=max(spread * size, 1e-300))
