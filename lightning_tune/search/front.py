"""Several objectives, as searchers need them: who is best, one number of several.

All read costs of the shape (num_points, num_objectives), lower is better, where a row that is not finite
stands for a trial that cannot be compared.
"""

import numpy as np
import numpy.typing as npt

from lightning_tune.core.pareto import crowding, non_dominated

Matrix = npt.NDArray[np.float64]
Vector = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]
MOST = 64
"""So many of the best are told apart; more than any searcher learns from."""


def best_first(costs: Matrix, number: int) -> Indices:
    """Return the indices of the best points: front by front, the lonely before the crowded.

    A front that is too large loses its most crowded point, and again the most crowded of those that are
    left, so that the others are spread.

    Args:
        costs: (num_points, num_objectives); rows that are not finite are never among the best.
        number: how many at most.

    Example:
        >>> best_first(np.array([[3.0, 3.0], [1.0, 4.0], [2.0, 1.8], [2.1, 1.7], [4.0, 1.0]]), 3).tolist()
        [1, 4, 2]
    """
    left = np.flatnonzero(np.isfinite(costs).all(axis=1))
    chosen: list[int] = []
    while len(left) and len(chosen) < number:
        inside = non_dominated(costs[left])
        front = left[inside]
        front = front[thinned(costs[front], number - len(chosen))]
        chosen += front[np.argsort(-crowding(costs[front]), kind="stable")].tolist()
        left = left[~inside]
    return np.array(chosen, dtype=np.int64)


def thinned(costs: Matrix, number: int) -> Indices:
    """Return which points of a front stay if only so many may, ascending."""
    kept = np.arange(len(costs))
    while len(kept) > number:
        distances = crowding(costs[kept])
        kept = np.delete(kept, len(kept) - 1 - int(np.argmin(distances[::-1])))
    return kept


def places(costs: Matrix) -> Vector:
    """Return one number a point that orders them, (num_points,): the place among the best, from 0.

    What comes after the best `MOST` shares the place after them; +inf of a row that is not finite.
    """
    found = np.where(np.isfinite(costs).all(axis=1), float(MOST), np.inf)
    best = best_first(costs, MOST)
    found[best] = np.arange(len(best))
    return found


def scaled(costs: Matrix) -> Matrix:
    """Return costs with the front from 0 to 1 in each objective.

    Where the front has no extent, it is that of all points.
    """
    finite = costs[np.isfinite(costs).all(axis=1)]
    if not len(finite):
        return costs
    front = finite[non_dominated(finite)]
    spread, whole = np.ptp(front, axis=0), np.ptp(finite, axis=0)
    spread = np.where(spread > 0.0, spread, np.where(whole > 0.0, whole, 1.0))
    result: Matrix = (costs - front.min(axis=0)) / spread
    return result


def chebyshev(costs: Matrix, weights: Vector) -> Vector:
    """Return one cost of several, (num_points,): augmented Chebyshev scalarisation (ParEGO, Knowles 2006).

    A point of a front is the best under some weights, also where the front is hollow, unless it gains one
    objective's twentieth at the cost of another.

    Args:
        costs: (num_points, num_objectives), scaled.
        weights: (num_objectives,), summing to 1.
    """
    finite = np.isfinite(costs).all(axis=1)
    weighted = costs[finite] * weights
    found = np.full(len(costs), np.inf)
    found[finite] = weighted.max(axis=1) + 0.05 * weighted.sum(axis=1)
    return found
