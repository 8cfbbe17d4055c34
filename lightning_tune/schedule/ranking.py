"""Who is best at a rung: one replaceable function, so that other orders fit every schedule."""

import math
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from lightning_tune.core.history import History
from lightning_tune.core.trial import Group
from lightning_tune.errors import ArgumentError

Rank: TypeAlias = Callable[[History, float, Sequence[Group]], list[int]]
"""`(history, level, groups at the level) -> numbers of groups`, best first.

A group that may never go on (it failed, or has no finite score) is left out. Pure: the same history gives the
same order.
"""


def by_score(history: History, level: float, groups: Sequence[Group]) -> list[int]:
    """Rank groups by their score up to the level, ties to the lower number."""
    rung = history.rung(level)
    costs = [
        (rung.cost(group.number) if group.number in rung else history.cost_at(group, level), group.number)
        for group in groups
    ]
    return [number for cost, number in sorted(costs) if math.isfinite(cost)]


def check_rank(rank: Any) -> None:
    """Refuse an order that has no name: a sweep that is resumed is to see whether it is still the same.

    Raises:
        ArgumentError: it is no callable, or a lambda.
    """
    if not callable(rank) or "<lambda>" in getattr(rank, "__qualname__", "<lambda>"):
        raise ArgumentError(
            "`rank` must be a function with a name, `(history, level, groups) -> numbers of groups, best "
            f"first`, got {rank!r}."
        )


def name_of(rank: Rank) -> str:
    """Return where an order is defined and what it is called."""
    return f"{rank.__module__}.{rank.__qualname__}"


def ordinal(number: int) -> str:
    """Return "1st", "2nd", "3rd", "11th".

    Example:
        >>> [ordinal(number) for number in (1, 2, 3, 4, 11, 22)]
        ['1st', '2nd', '3rd', '4th', '11th', '22nd']
    """
    ending = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"


def verdict(level: str, place: int, size: int, top: int) -> str:
    """Return a rung's decision in words.

    Args:
        level: the rung ("rung at 3 epochs").
        place: how many were better; -1 for one that has no score.
        size: how many were compared.
        top: how many go on.

    Example:
        >>> verdict("rung at 3 epochs", 4, 9, 3)
        'rung at 3 epochs: 5th of 9, the top 3 go on'
    """
    where = "no score" if place < 0 else f"{ordinal(place + 1)} of {size}"
    goes_on = "none goes on" if top == 0 else "the best goes on" if top == 1 else f"the top {top} go on"
    return f"{level}: {where}, {goes_on}"
