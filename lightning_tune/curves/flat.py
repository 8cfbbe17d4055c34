"""Curves that have not moved at all, as of a network that is still at chance, or lost for good.

Reports that are equal to the last digit have no noise to measure anything by, and what the network learnt
of curves that moved does not hold. By Laplace's rule of succession, if n equal reports are all that is known,
the next m are equal to them with a probability of n / (n + m): n - 1 of them stayed where the first was, and
the chance to stay is uniform beforehand. If a curve moves, it moves like one that has just begun.
"""

import numpy as np
import numpy.typing as npt

from lightning_tune.curves.features import see
from lightning_tune.curves.network import LEAST_SCALE, Network, Parts

Array = npt.NDArray[np.float64]
SIZE_OF_NOTHING = 0.1
"""What a curve of zeros is taken to be the size of: a recall or an F1 before anything is learnt."""


def is_flat(steps: Array, costs: Array) -> npt.NDArray[np.bool_]:
    """Return which curves (num_curves, num_steps) are equal at all steps; one report is so if it is 0."""
    equal = (costs == costs[:, :1]).all(axis=1)
    return np.asarray(equal & ((len(steps) > 1) | (costs[:, 0] == 0.0)))


def flat_parts(network: Network, steps: Array, levels: Array, at: Array) -> tuple[Array, Parts]:
    """Return how curves go on that have been at their levels all the time.

    Args:
        network: that tells of a curve that has just begun.
        steps: (num_steps,), ascending, from 1.
        levels: (num_curves,), in costs.
        at: (num_at,), later steps.

    Returns:
        the unit of each curve (num_curves,) around its level, and the mixture (num_curves, num_at, num_parts
        + 1), whose last part is that it stays.
    """
    sizes = np.where(levels == 0.0, SIZE_OF_NOTHING, levels)
    spacing = float(np.median(np.diff(steps))) if len(steps) > 1 else float(steps[0])
    left = (at - steps[-1]) / spacing
    begun = see(np.ones(1), sizes[:, None], 1.0 + left)
    moving = network.parts(begun.columns, begun.anchors)
    stays = np.where(len(steps) > 1, len(steps) / (len(steps) + left), 0.0)
    share = np.broadcast_to(stays[:, None], (len(levels), len(at), 1))
    return begun.unit, Parts(
        weights=np.concatenate([(1.0 - share) * moving.weights, share], axis=-1),
        places=np.concatenate([moving.places, np.zeros_like(share)], axis=-1),
        scales=np.concatenate([moving.scales, np.full(share.shape, LEAST_SCALE)], axis=-1),
    )
