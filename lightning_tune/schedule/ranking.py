"""Who is best at a rung: one replaceable function, so that other orders fit every schedule."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from lightning_tune.core.history import History
from lightning_tune.core.pareto import pareto_order
from lightning_tune.core.trial import Costs, Group
from lightning_tune.errors import ArgumentError

Rank: TypeAlias = Callable[[History, float, Sequence[Group]], list[int]]
"""`(history, level, groups at the level) -> numbers of groups`, best first.

A group that may never go on (it failed, or has no finite score) is left out. Pure: the same history gives the
same order.
"""


def by_score(history: History, level: float, groups: Sequence[Group]) -> list[int]:
    """Rank groups by their score up to the level, ties to the lower number.

    With several objectives, which have no single score, as `by_pareto`.
    """
    if not history.objective.scalar:
        return by_pareto(history, level, groups)
    return [
        number for _, number in sorted((costs, number) for number, costs in _costs(history, level, groups))
    ]


def by_pareto(history: History, level: float, groups: Sequence[Group]) -> list[int]:
    """Rank groups by non-domination among one another at the level, then the less crowded, then by number.

    Non-dominated sorting of Deb et al. 2002 (NSGA-II), as Schmucker et al., *Multi-objective Asynchronous
    Successive Halving*, 2021, use it at rungs. With one objective it is the order of scores.
    """
    found = sorted(_costs(history, level, groups))
    return [found[index][0] for index in pareto_order([costs for _, costs in found])]


def _costs(history: History, level: float, groups: Sequence[Group]) -> list[tuple[int, Costs]]:
    """Return (number, costs at the level) of those that have any."""
    rung = history.rung(level)
    found = (
        (number, rung.costs(number) if number in rung else history.costs_at(group, level))
        for number, group in ((group.number, group) for group in groups)
    )
    return [(number, costs) for number, costs in found if costs is not None]


@dataclass(frozen=True)
class Going:
    """An order in which whoever was stopped on the way to a rung, or at it, has no place.

    One that had gone beyond the rung when it was stopped keeps its place there, so that an order that was
    settled stays as it was.
    """

    rank: Rank

    def __post_init__(self) -> None:
        object.__setattr__(self, "__module__", self.rank.__module__)
        object.__setattr__(self, "__qualname__", self.rank.__qualname__)

    def __call__(self, history: History, level: float, groups: Sequence[Group]) -> list[int]:
        """Return the numbers of groups, best first."""
        return self.rank(
            history,
            level,
            [group for group in groups if group.state != "stopped" or group.budget > level],
        )


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
