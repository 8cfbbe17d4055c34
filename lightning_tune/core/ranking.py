"""The groups of a sweep in the order of their costs, brought up to date when somebody asks.

A report only marks its group as changed, so that a million of them are folded quickly; a question sorts
in what changed since the last one.
"""

import bisect
import math
from collections.abc import Callable


class Ranking:
    """Numbers sorted by (cost, number); infinite costs are left out.

    Args:
        cost_of: returns the cost of a number as it is now.
    """

    _REBUILD = 100

    def __init__(self, cost_of: Callable[[int], float]) -> None:
        self._cost_of = cost_of
        self._sorted: list[tuple[float, int]] = []
        self._entered: dict[int, float] = {}
        self._changed: set[int] = set()

    def change(self, number: int) -> None:
        """Note that a number is new or that its cost may have changed."""
        self._changed.add(number)

    def sorted(self) -> list[tuple[float, int]]:
        """Return (cost, number), lowest cost first, ties by number."""
        if len(self._changed) > self._REBUILD:
            self._rebuild()
        for number in self._changed:
            self._enter(number)
        self._changed.clear()
        return self._sorted

    def _rebuild(self) -> None:
        costs = {number: self._cost_of(number) for number in self._entered.keys() | self._changed}
        self._entered = {number: cost for number, cost in costs.items() if math.isfinite(cost)}
        self._sorted = sorted((cost, number) for number, cost in self._entered.items())
        self._changed.clear()

    def _enter(self, number: int) -> None:
        old, cost = self._entered.pop(number, math.inf), self._cost_of(number)
        if math.isfinite(old):
            del self._sorted[bisect.bisect_left(self._sorted, (old, number))]
        if math.isfinite(cost):
            self._entered[number] = cost
            bisect.insort(self._sorted, (cost, number))
