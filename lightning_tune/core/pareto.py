"""Several objectives at once: who dominates whom, how crowded a front is, and the volume it dominates.

A point dominates another if it is nowhere worse and somewhere better. Lower is better in every column, as
everything that comes out of `Objective.costs`. A row with NaN or infinity stands for a trial that has no
result: it dominates nobody and comes after all others.
"""

import bisect
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

FloatArray: TypeAlias = npt.NDArray[np.float64]
IntArray: TypeAlias = npt.NDArray[np.int64]
BoolArray: TypeAlias = npt.NDArray[np.bool_]


def fronts(costs: npt.ArrayLike) -> IntArray:
    """Return the non-domination rank of each point: 0 on the Pareto front, 1 on what is it without that.

    Zhang, Tian, Cheng & Jin, *An Efficient Approach to Nondominated Sorting*, 2015 (ENS-BS): in
    lexicographic order a point is dominated by earlier ones only, and its front is found by bisection.

    Args:
        costs: (num_points, num_objectives), lower is better.

    Returns:
        (num_points,); rows that are not finite have the rank after all others.

    Example:
        >>> fronts([[1, 4], [2, 2], [3, 3], [4, 1], [float("nan"), 0]]).tolist()
        [0, 0, 1, 0, 2]
    """
    points = _points(costs)
    finite = np.isfinite(points).all(axis=1)
    unique, inverse = np.unique(points[finite], axis=0, return_inverse=True)
    ranks = _ranks_of_pairs(unique) if points.shape[1] == 2 else _ranks_of_sorted(unique)
    found = np.full(len(points), ranks.max(initial=-1) + 1, dtype=np.int64)
    found[finite] = ranks[inverse.reshape(-1)]
    return found


def non_dominated(costs: npt.ArrayLike) -> BoolArray:
    """Return for each point whether no other dominates it: (num_points,); rows that are not finite never are.

    Args:
        costs: (num_points, num_objectives), lower is better.

    Example:
        >>> non_dominated([[1, 4], [2, 2], [3, 3], [4, 1]]).tolist()
        [True, True, False, True]
    """
    points = _points(costs)
    finite = np.isfinite(points).all(axis=1)
    if points.shape[1] == 2:
        first: BoolArray = fronts(points) == 0
        return finite & first
    found = np.zeros(len(points), dtype=np.bool_)
    left = np.flatnonzero(finite)
    left = left[np.lexsort(points[left].T[::-1])]
    while left.size:
        first = points[left[0]]  # the lexicographic minimum of what is left: nothing there dominates it
        equal = (points[left] == first).all(axis=1)
        found[left[equal]] = True
        left = left[(points[left] < first).any(axis=1)]
    return found


def crowding(costs: npt.ArrayLike) -> FloatArray:
    """Return the crowding distance of each point of one front: how far its neighbours are; inf at the ends.

    Deb, Pratap, Agarwal & Meyarivan, *A Fast and Elitist Multiobjective Genetic Algorithm: NSGA-II*, 2002,
    section III-B: the sum over objectives of the gap between the two neighbours, by the front's range.

    Args:
        costs: (num_points, num_objectives), all finite. An objective in which all are equal counts for
            nothing.

    Example:
        >>> crowding([[0, 4], [1, 2], [4, 0]]).tolist()
        [inf, 2.0, inf]
    """
    points = _points(costs)
    distances = np.zeros(len(points))
    if len(points) <= 2:
        return np.full(len(points), np.inf)
    for column in points.T:
        order = np.argsort(column, kind="stable")
        ordered = column[order]
        spread = ordered[-1] - ordered[0]
        if spread > 0:
            distances[order[1:-1]] += (ordered[2:] - ordered[:-2]) / spread
            distances[order[[0, -1]]] = np.inf
    return distances


def pareto_order(costs: npt.ArrayLike) -> IntArray:
    """Return the indices of points, best first: by rank, then the less crowded, then the lower index.

    Args:
        costs: (num_points, num_objectives), lower is better.

    Returns:
        (num_points,), with the rows that are not finite at the end.

    Example:
        >>> pareto_order([[3, 3], [1, 4], [1.5, 2], [2, 1.8], [4, 1]]).tolist()
        [1, 4, 3, 2, 0]
    """
    points = _points(costs)
    ranks = fronts(points)
    finite = np.isfinite(points).all(axis=1)
    distances = np.zeros(len(points))
    for rank in range(ranks.max(initial=-1) + 1):
        members = np.flatnonzero((ranks == rank) & finite)
        distances[members] = crowding(points[members])
    return np.lexsort((-distances, ranks)).astype(np.int64)  # lexsort is stable: ties by index


def dominators(costs: npt.ArrayLike, among: npt.ArrayLike | None = None) -> IntArray:
    """Return how many points dominate each: (num_points,).

    Args:
        costs: (num_points, num_objectives), lower is better.
        among: (num_others, num_objectives), those that are counted; the points themselves unless given.

    Example:
        >>> dominators([[1, 4], [2, 2], [3, 3], [4, 4]]).tolist()
        [0, 0, 1, 3]
    """
    points = _points(costs)
    others = points if among is None else _points(among)
    ahead = others[np.isfinite(others).all(axis=1)]
    return np.array(
        [((ahead <= point).all(axis=1) & (ahead < point).any(axis=1)).sum() for point in points],
        dtype=np.int64,
    )


def nearest_ideal(costs: npt.ArrayLike) -> int | None:
    """Return the index of the point of the Pareto front that is the best compromise; None without any.

    That is the one nearest, by Euclidean distance, to the ideal point (the lowest cost in every objective)
    after each objective is scaled to the front's range. Ties go to the lower index.

    Args:
        costs: (num_points, num_objectives), lower is better.

    Example:
        >>> nearest_ideal([[0, 100], [1, 30], [4, 0], [1, 90]])
        1
    """
    points = _points(costs)
    front = np.flatnonzero(non_dominated(points))
    if not front.size:
        return None
    above = points[front] - points[front].min(axis=0)
    scale = above.max(axis=0)
    return int(front[np.square(above / np.where(scale > 0, scale, 1.0)).sum(axis=1).argmin()])


def hypervolume(costs: npt.ArrayLike, reference: npt.ArrayLike) -> float:
    """Return the volume between a reference point and what the points dominate, exactly.

    While, Bradstreet & Barone, *A Fast Way of Calculating Exact Hypervolumes*, 2012 (WFG), whose recursion
    ends in the sweep over pairs.

    Args:
        costs: (num_points, num_objectives), lower is better.
        reference: (num_objectives,), finite; a point that is not better in every objective adds nothing.

    Example:
        >>> hypervolume([[1, 2], [2, 1]], [3, 3]), hypervolume([[1, 1, 1]], [2, 3, 4])
        (3.0, 6.0)
    """
    points, corner = _points(costs), np.asarray(reference, dtype=np.float64)
    points = points[np.isfinite(points).all(axis=1) & (points < corner).all(axis=1)]
    return _volume(points[non_dominated(points)], corner)


def _points(costs: npt.ArrayLike) -> FloatArray:
    points = np.asarray(costs, dtype=np.float64)
    return points.reshape(0, 1) if points.size == 0 and points.ndim == 1 else points


def _ranks_of_pairs(points: FloatArray) -> IntArray:
    """Return the ranks of (num_points, 2) in lexicographic order without doubles.

    The last member of a front has its lowest second cost, and from front to front these rise.
    """
    last: list[float] = []
    ranks = []
    for second in points[:, 1].tolist():
        rank = bisect.bisect_right(last, second)
        ranks.append(rank)
        last[rank : rank + 1] = [second]
    return np.array(ranks, dtype=np.int64)


def _ranks_of_sorted(points: FloatArray) -> IntArray:
    """Return the ranks of (num_points, num_objectives) in lexicographic order without doubles."""
    members: list[list[int]] = []
    ranks = []
    for index, point in enumerate(points):

        def dominated(front: list[int], point: FloatArray = point) -> bool:
            return bool((points[front] <= point).all(axis=1).any())

        rank = bisect.bisect_left(members, True, key=lambda front: not dominated(front))
        if rank == len(members):
            members.append([])
        members[rank].append(index)
        ranks.append(rank)
    return np.array(ranks, dtype=np.int64)


def _volume(points: FloatArray, corner: FloatArray) -> float:
    """Return the hypervolume of points that do not dominate one another, all better than the corner."""
    if not len(points):
        return 0.0
    if points.shape[1] == 1:
        return float(corner[0] - points[:, 0].min())
    if points.shape[1] == 2:
        return _area(points, corner)
    points = points[np.argsort(-points[:, -1], kind="stable")]
    depths = corner[-1] - points[:, -1]
    return float(sum(depth * _exclusive(points, index, corner) for index, depth in enumerate(depths)))


def _area(points: FloatArray, corner: FloatArray) -> float:
    """Return the hypervolume of pairs: one rectangle a point, from left to right."""
    ordered = points[np.argsort(points[:, 0], kind="stable")]
    above = np.concatenate([corner[1:], ordered[:-1, 1]])
    return float(((corner[0] - ordered[:, 0]) * (above - ordered[:, 1])).sum())


def _exclusive(points: FloatArray, index: int, corner: FloatArray) -> float:
    """Return what a point dominates alone, without the last objective, in which later points are better."""
    point, side = points[index, :-1], corner[:-1]
    shared = np.maximum(points[index + 1 :, :-1], point)
    return float(np.prod(side - point)) - _volume(_front_of(shared), side)


def _front_of(points: FloatArray) -> FloatArray:
    """Return the Pareto front of points, each of its points once."""
    unique = np.unique(points, axis=0)
    return unique[non_dominated(unique)]
