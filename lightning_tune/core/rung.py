"""One rung of a history: the groups that reached a level, sorted by what they had scored by then.

With several objectives there is no such order, since what dominates what depends on who is compared: the rung
then holds the members and their costs, and a schedule's `rank` puts them in order.

A rung is made when somebody first asks for it, from all trials; from then on each event costs it a bisection.
It is a cache of what could be read off the trials at any time, never a second truth.
"""

import bisect
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from lightning_tune.core.trial import Costs, Group

Measure: TypeAlias = Literal["cost", "mean"]
"""What a group is sorted by: its score up to the level, or the running mean of its reports up to there."""


@dataclass(frozen=True, slots=True)
class Share:
    """A part of the groups, by their place in the order of their starts: those of one bracket.

    Attributes:
        cycle: the bracket of each place; it repeats for ever.
        bracket: the bracket whose groups belong to the part.
    """

    cycle: tuple[int, ...]
    bracket: int

    def __contains__(self, group: Group) -> bool:
        return self.cycle[group.ordinal % len(self.cycle)] == self.bracket


class Rung:
    """The groups at one level.

    Args:
        level: a budget.
        share: which groups belong to it; None is all.
        costs_of: returns a group's costs at this level as they are now; None if it failed, or never had a
            finite score.

    Attributes:
        ranked: (cost, number) of every group that reached the level, lowest cost first, ties by number; the
            cost of one without costs is infinite, with several objectives that of all others is 0.
    """

    __slots__ = ("_beyond", "_costs_of", "_entered", "_waiting", "level", "ranked", "share")

    def __init__(
        self, level: float, share: Share | None, costs_of: Callable[[Group, float], Costs | None]
    ) -> None:
        self.level = level
        self.share = share
        self.ranked: list[tuple[float, int]] = []
        self._waiting: list[tuple[float, int]] = []
        self._entered: dict[int, Costs | None] = {}
        self._beyond: set[int] = set()
        self._costs_of = costs_of

    def __len__(self) -> int:
        return len(self.ranked)

    def __contains__(self, number: object) -> bool:
        return number in self._entered

    @property
    def waiting(self) -> list[tuple[float, int]]:
        """(cost, number) of those that have neither gone beyond the level nor ended, in the same order."""
        return self._waiting

    @property
    def beyond(self) -> int:
        """How many of those that reached the level have begun to train beyond it."""
        return len(self._beyond)

    def cost(self, number: int) -> float:
        """Return a group's cost at this level, as in `ranked`."""
        return self._entry(number)[0]

    def costs(self, number: int) -> Costs | None:
        """Return a group's costs at this level; None for one without."""
        return self._entered[number]

    def place(self, number: int) -> int:
        """Return how many groups are before this one in `ranked`."""
        return bisect.bisect_left(self.ranked, self._entry(number))

    @property
    def median(self) -> float:
        """The median cost of those that have a finite one; +inf without any."""
        finite = bisect.bisect_left(self.ranked, (math.inf, -1))
        if not finite:
            return math.inf
        return (self.ranked[(finite - 1) // 2][0] + self.ranked[finite // 2][0]) / 2

    # -- kept up to date by the history

    def enter(self, group: Group) -> None:
        """Take in a group that has reached the level, or whose cost there has changed."""
        if self.share is not None and group not in self.share:
            return
        if group.number in self._entered:
            self.leave(group.number)
            _remove(self.ranked, self._entry(group.number))
        self._entered[group.number] = self._costs_of(group, self.level)
        entry = self._entry(group.number)
        bisect.insort(self.ranked, entry)
        if group.budget > self.level:
            self._beyond.add(group.number)
        elif not group.ended:
            bisect.insort(self._waiting, entry)

    def go_on(self, number: int) -> None:
        """Note that a group trains beyond the level."""
        self.leave(number)
        if number in self._entered:
            self._beyond.add(number)

    def leave(self, number: int) -> None:
        """Note that a group waits no more."""
        if number in self._entered:
            _remove(self._waiting, self._entry(number))

    def _entry(self, number: int) -> tuple[float, int]:
        costs = self._entered[number]
        return (math.inf if costs is None else costs[0] if len(costs) == 1 else 0.0), number


def _remove(entries: list[tuple[float, int]], entry: tuple[float, int]) -> None:
    place = bisect.bisect_left(entries, entry)
    if place < len(entries) and entries[place] == entry:
        del entries[place]
