"""The groups of a sweep with several objectives, front by front, sorted anew when somebody asks."""

from collections.abc import Callable, Iterable
from typing import TypeAlias

from lightning_tune.core.pareto import fronts, nearest_ideal, pareto_order
from lightning_tune.core.trial import Costs

Standing: TypeAlias = tuple[float, Costs | None]
"""What a group is sorted by: the budget of the score, negative where a larger one outranks all others (else
0), then the costs; None is left out."""


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

    def change(self, number: int) -> None:
        """Note that a number is new or that its standing may have changed."""
        self._changed.add(number)

    def fronts(self) -> list[list[int]]:
        """Return the fronts, best first, and in each the less crowded first, ties by number."""
        changed = [number for number in self._changed if self._enter(number)]
        self._changed.clear()
        if changed:
            self._fronts = sorted_fronts(self._standings)
        return self._fronts

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
        return sorted(self.fronts()[0]) if self.fronts() else []

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


def sorted_fronts(standings: dict[int, Standing] | Iterable[tuple[int, Standing]]) -> list[list[int]]:
    """Return the fronts of numbers, the largest budget's first, and in each the less crowded first.

    Args:
        standings: each number's standing; one without costs is left out.

    Example:
        >>> sorted_fronts({0: (0.0, (1.0, 2.0)), 1: (0.0, (2.0, 2.0)), 2: (0.0, (0.0, 3.0)), 3: (0.0, None)})
        [[0, 2], [1]]
    """
    levels: dict[float, list[tuple[int, Costs]]] = {}
    for number, (level, costs) in sorted(dict(standings).items()):
        if costs is not None:
            levels.setdefault(level, []).append((number, costs))
    return [front for level in sorted(levels) for front in _split(levels[level])]


def _split(entries: list[tuple[int, Costs]]) -> list[list[int]]:
    """Return the fronts of one level, from (number, costs) by number."""
    costs = [each for _, each in entries]
    ranks = fronts(costs)
    found: list[list[int]] = [[] for _ in range(int(ranks.max()) + 1)]
    for index in pareto_order(costs).tolist():
        found[ranks[index]].append(entries[index][0])
    return found
