"""The groups of a sweep, best first, brought up to date when somebody asks.

A report only marks its group as changed, so that a million of them are folded quickly; a question sorts
in what changed since the last one.
"""

import bisect
import itertools
import math
from collections.abc import Callable
from typing import TypeAlias

Key: TypeAlias = tuple[float, float]
"""What groups are sorted by: the budget of the score, negative where a larger one outranks all others (else
0), then the cost."""


class Ranking:
    """Numbers sorted by (key, number); infinite costs are left out.

    Args:
        key_of: returns the key of a number as it is now.
    """

    _REBUILD = 100

    def __init__(self, key_of: Callable[[int], Key]) -> None:
        self._key_of = key_of
        self._sorted: list[tuple[Key, int]] = []
        self._entered: dict[int, Key] = {}
        self._changed: set[int] = set()

    def change(self, number: int) -> None:
        """Note that a number is new or that its key may have changed."""
        self._changed.add(number)

    def sorted(self) -> list[tuple[Key, int]]:
        """Return (key, number), best first, ties by number."""
        if len(self._changed) > self._REBUILD:
            self._rebuild()
        for number in self._changed:
            self._enter(number)
        self._changed.clear()
        return self._sorted

    def numbers(self, count: int) -> list[int]:
        """Return the best `count` numbers, best first."""
        return [number for _, number in self.sorted()[:count]]

    @property
    def front(self) -> list[int]:
        """The numbers that share the best key, lowest first."""
        ranked = self.sorted()
        return [number for _, number in itertools.takewhile(lambda entry: entry[0] == ranked[0][0], ranked)]

    @property
    def best(self) -> int | None:
        """The first number."""
        ranked = self.sorted()
        return ranked[0][1] if ranked else None

    def _rebuild(self) -> None:
        keys = {number: self._key_of(number) for number in self._entered.keys() | self._changed}
        self._entered = {number: key for number, key in keys.items() if math.isfinite(key[1])}
        self._sorted = sorted((key, number) for number, key in self._entered.items())
        self._changed.clear()

    def _enter(self, number: int) -> None:
        old, key = self._entered.pop(number, None), self._key_of(number)
        if old is not None:
            del self._sorted[bisect.bisect_left(self._sorted, (old, number))]
        if math.isfinite(key[1]):
            self._entered[number] = key
            bisect.insort(self._sorted, (key, number))
