"""The groups of a sweep with several objectives, front by front, sorted anew when somebody asks.

Only as many fronts are looked for as are wanted: with three objectives all fronts of 10,000 trials take a
second, and the first one a few milliseconds.
"""

import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import TypeAlias

import numpy as np

from lightning_tune.core.pareto import FloatArray, IntArray, crowding, fronts, nearest_ideal, non_dominated
from lightning_tune.core.trial import Costs

Standing: TypeAlias = tuple[float, Costs | None]
"""What a group is sorted by: the budget of the score, negative where a larger one outranks all others (else
0), then the costs; None is left out."""
_ONE_BY_ONE = 5
"""So many fronts are looked for one after another, before all the others are told apart at once."""


class ParetoRanking:
    """Numbers sorted by (budget, front, crowding, number): the several-objective twin of `Ranking`.

    Args:
        standing_of: returns the standing of a number as it is now.
    """

    def __init__(self, standing_of: Callable[[int], Standing]) -> None:
        self._standing_of = standing_of
        self._standings: dict[int, Standing] = {}
        self._changed: set[int] = set()
        self._fronts: list[list[int]] = []
        self._more: Iterator[list[int]] = iter(())

    def change(self, number: int) -> None:
        """Note that a number is new or that its standing may have changed."""
        self._changed.add(number)

    def fronts(self) -> Iterator[list[int]]:
        """Yield the fronts, best first, and in each the less crowded first, ties by number."""
        changed = [number for number in self._changed if self._enter(number)]
        self._changed.clear()
        if changed:
            self._fronts, self._more = [], sorted_fronts(self._standings)
        for place in itertools.count():
            if place == len(self._fronts):
                self._fronts.extend(itertools.islice(self._more, 1))
            if place == len(self._fronts):
                return
            yield self._fronts[place]

    def numbers(self, count: int) -> list[int]:
        """Return the best `count` numbers, best first."""
        found: list[int] = []
        for front in self.fronts():
            if len(found) >= count:
                break
            found += front
        return found[:count]

    @property
    def front(self) -> list[int]:
        """The numbers that nothing dominates, lowest first."""
        return sorted(next(self.fronts(), []))

    @property
    def best(self) -> int | None:
        """The number of the front that is the best compromise (`nearest_ideal`), ties to the lower."""
        front = self.front
        place = nearest_ideal([self._standings[number][1] or () for number in front])
        return None if place is None else front[place]

    def _enter(self, number: int) -> bool:
        """Take in a number's standing; return whether it is another than before."""
        standing = self._standing_of(number)
        known = self._standings.get(number)
        self._standings[number] = standing
        return standing != known


def sorted_fronts(standings: dict[int, Standing] | Iterable[tuple[int, Standing]]) -> Iterator[list[int]]:
    """Yield the fronts of numbers, the largest budget's first, and in each the less crowded first.

    Args:
        standings: each number's standing; one without costs is left out.

    Example:
        >>> standings = {0: (0.0, (1.0, 2.0)), 1: (0.0, (2.0, 2.0)), 2: (0.0, (0.0, 3.0)), 3: (0.0, None)}
        >>> list(sorted_fronts(standings))
        [[0, 2], [1]]
    """
    levels: dict[float, list[tuple[int, Costs]]] = {}
    for number, (level, costs) in sorted(dict(standings).items()):
        if costs is not None:
            levels.setdefault(level, []).append((number, costs))
    for level in sorted(levels):
        numbers, costs = zip(*levels[level], strict=True)
        points = np.array(costs, dtype=np.float64)
        for front in _split(points):
            order = np.argsort(-crowding(points[front]), kind="stable")
            yield [numbers[index] for index in front[order].tolist()]


def _split(points: FloatArray) -> Iterator[IntArray]:
    """Yield the indices of each front of (num_points, num_objectives), ascending."""
    left = np.arange(len(points))
    for _ in range(_ONE_BY_ONE):
        if not left.size:
            return
        inside = non_dominated(points[left])
        yield left[inside]
        left = left[~inside]
    ranks = fronts(points[left])
    for rank in range(ranks.max(initial=-1) + 1):
        yield left[ranks == rank]
