"""Successive halving, synchronous: a rung is decided when all of its configurations have reached it.

Jamieson & Talwalkar, *Non-stochastic Best Arm Identification and Hyperparameter Optimization*, AISTATS 2016.
The n-th configuration of a sweep belongs to a bracket by its place alone, so what is promoted is a function
of the history.
"""

import math
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Self
from weakref import WeakKeyDictionary

from lightning_tune.core.budget import EPOCHS, Budget
from lightning_tune.core.checks import whole
from lightning_tune.core.decision import Done, Job, Resume, Start, Stop, Wait
from lightning_tune.core.events import JSON
from lightning_tune.core.history import History
from lightning_tune.core.trial import Group
from lightning_tune.schedule.base import Scheduler
from lightning_tune.schedule.ranking import Rank, by_score, check_rank, name_of, verdict
from lightning_tune.schedule.rungs import Bracket, halving_bracket
from lightning_tune.schedule.settings import (
    at_least,
    at_most,
    check_budgets,
    check_eta,
    resolved,
    words,
)

_SETTLED: WeakKeyDictionary[History, dict[tuple[Rank, float, tuple[int, ...]], list[int]]] = (
    WeakKeyDictionary()
)
"""The orders of full rungs of each history: a cache, since they do not change any more."""


class Synchronous(Scheduler):
    """A schedule of brackets, one after another, again and again while configurations come.

    Free workers take the promotions of the oldest bracket first, then new configurations; the next bracket
    begins where a worker would have to wait.
    """

    eta: float
    rank: Rank
    _budget: Budget

    @property
    @abstractmethod
    def brackets(self) -> tuple[Bracket, ...]:
        """The brackets of one round, once resolved."""

    @property
    def pauses(self) -> bool:
        """A trial waits at each rung until the rung is full."""
        return True

    def record(self) -> dict[str, JSON]:
        """Return the rungs, whatever settings led to them."""
        brackets: list[JSON] = [[list(bracket.sizes), list(bracket.levels)] for bracket in self.brackets]
        return {
            "name": type(self).__name__,
            "eta": self.eta,
            "brackets": brackets,
            "rank": name_of(self.rank),
        }

    @property
    def full_budget(self) -> float:
        """The highest rung."""
        return max(bracket.levels[-1] for bracket in self.brackets)

    def next_jobs(self, history: History, count: int, more: float = math.inf) -> list[Job]:
        """Return what is decided at the rungs, oldest bracket first, then new configurations."""
        stops: list[Job] = []
        trains: list[Job] = []
        for bracket, groups, waiting in self._open(history, more):
            for job in self._decided(history, bracket, groups, waiting):
                (stops if isinstance(job, Stop) else trains).append(job)
        starts = [
            Start(budget=self._place(history.num_groups + number)[0].levels[0])
            for number in range(int(min(more, max(0, count - len(trains)))))
        ]
        jobs = [*stops, *(trains + starts)[:count]]
        if jobs:
            return jobs
        if history.open_groups:
            return [Wait(reason="a rung is not full yet")]
        return [Done(reason="every bracket is done")]

    def _place(self, ordinal: int) -> tuple[Bracket, int]:
        """Return the bracket of the configuration started as number `ordinal`, and its place there."""
        place = ordinal % sum(bracket.size for bracket in self.brackets)
        for bracket in self.brackets:
            if place < bracket.size:
                return bracket, place
            place -= bracket.size
        raise AssertionError("the places of a round add up to its size")

    def _open(
        self, history: History, more: float
    ) -> Iterator[tuple[Bracket, Sequence[Group], Sequence[Group]]]:
        """Yield the full brackets in which something may be decided, their groups, and the paused ones.

        The last one is cut to what there is when no more will come.
        """
        paused: dict[int, list[Group]] = {}
        first = size = 0
        for group in history.open_groups:
            if not first <= group.ordinal < first + size:
                bracket, place = self._place(group.ordinal)
                first, size = group.ordinal - place, bracket.size
            if group.state == "paused":
                paused.setdefault(first, []).append(group)
        for first, waiting in paused.items():
            bracket, _ = self._place(first)
            groups = history.groups[first : first + bracket.size]
            if len(groups) == bracket.size or more == 0:
                full = bracket if len(groups) == bracket.size else bracket.of(len(groups), self.eta)
                yield full, groups, waiting

    def _decided(
        self, history: History, bracket: Bracket, groups: Sequence[Group], waiting: Sequence[Group]
    ) -> Iterator[Job]:
        """Yield the promotions and the stops of one bracket, rung by rung, as far as rungs are full.

        Args:
            history: all trials so far.
            bracket: its rungs.
            groups: all of its groups.
            waiting: those that are paused: the others train already, or have ended and hold their places.
        """
        for rung, level in enumerate(bracket.levels[:-1]):
            ranked = self._ranked(history, level, groups)
            if ranked is None:
                return
            top = ranked[: bracket.sizes[rung + 1]]
            places = {number: place for place, number in enumerate(ranked)}
            here = [group for group in waiting if group.budget <= level]
            for group in sorted(here, key=lambda group: places.get(group.number, math.inf)):
                place = places.get(group.number, -1)
                reason = verdict(f"rung at {self._budget.amount(level)}", place, len(groups), len(top))
                if 0 <= place < len(top):
                    yield Resume(group=group.number, budget=bracket.levels[rung + 1], reason=reason)
                else:
                    yield Stop(group=group.number, reason=reason)
            groups = [history.group(number) for number in top]

    def _ranked(self, history: History, level: float, groups: Sequence[Group]) -> list[int] | None:
        """Return the groups of a full rung, best first; None while it is not full.

        Those that a user stopped are out. The order is settled once nobody is on the way any more, and is
        remembered.
        """
        key = (self.rank, level, tuple(group.number for group in groups))
        known = _SETTLED.setdefault(history, {})
        if key not in known:
            if not all(_settled(history, group, level) for group in groups):
                return None
            known[key] = self.rank(history, level, [group for group in groups if not _asked(group)])
        return known[key]

    def cost(self, max_trials: int | None, repeats: int) -> str:
        """Return trials, rungs and what they take at most."""
        trials = max_trials or self.num_trials or 0
        total = 0.0
        for bracket, size in self._rounds(trials):
            cut = bracket if size == bracket.size else bracket.of(size, self.eta)
            total += sum(cut.sizes) if self._budget.argument else cut.spent(resumes=self._budget.resumes)
        levels = sorted({level for bracket in self.brackets for level in bracket.levels})
        rungs = self._budget.named(", ".join(map(self._budget.figure, levels)))
        many = f"{len(self.brackets)} brackets, " if len(self.brackets) > 1 else ""
        most = words(self._budget, total * repeats)
        return f"{trials * repeats} trials, {many}rungs at {rungs}: at most {most}"

    def _rounds(self, trials: int) -> Iterator[tuple[Bracket, int]]:
        """Yield each bracket that so many configurations fill, with how many it gets."""
        started = 0
        while started < trials:
            bracket, _ = self._place(started)
            yield bracket, min(bracket.size, trials - started)
            started += bracket.size

    def notes(self) -> Sequence[str]:
        """Return a sentence where the Trainer would train further than any rung."""
        if not self.full_budget < self._budget.full < math.inf:
            return ()
        return (
            f"the last rung is at {self._budget.amount(self.full_budget)}: no trial trains on to the whole "
            f"of {self._budget.amount(self._budget.full)}, for which a learning-rate schedule may be sized",
        )


def _settled(history: History, group: Group, level: float) -> bool:
    """Whether nothing that a group does can change how it stands at a level."""
    if group.ended:
        return True
    return history.reached(group, level) and (group.budget > level or group.state == "paused")


def _asked(group: Group) -> bool:
    return any(member.stop_request is not None for member in group.members)


@dataclass(frozen=True)
class SuccessiveHalving(Synchronous):
    """Train many configurations a little, the best 1/eta of them eta times as long, until one is left.

    Synchronous: a rung waits for its slowest trial, and what is promoted does not depend on who was faster.
    `ASHA` does not wait.

    Args:
        num_trials: configurations of a bracket, at least 1. More (`max_trials`) begin another.
        min_budget: what each is trained to first, in units of the budget; None is 1 epoch (for other units,
            the largest divided by eta three times).
        eta: at least 2; the best 1/eta go on, with eta times the budget.
        max_budget: a cap at which a bracket ends even if more than one is left; None is the Trainer's
            `max_epochs`.
        rank: who is best at a rung, `(history, level, groups) -> numbers`, best first; their scores up to
            there, unless given (with several objectives: who dominates whom, then who is less crowded).

    Raises:
        ArgumentError: eta below 2, no trials, or budgets that are not above 0 or the wrong way round.

    Example:
        >>> from lightning_tune.core.budget import Budget
        >>> SuccessiveHalving(16, 25, 2).resolve(Budget(full=400)).cost(None, 1)
        '16 trials, rungs at 25, 50, 100, 200, 400: at most 1200 epochs'
    """

    num_trials: int = 16
    min_budget: float | None = 25
    eta: float = 2
    max_budget: float | None = None
    rank: Rank = by_score
    _budget: Budget = field(default=EPOCHS, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        whole("num_trials", self.num_trials, 1)
        check_rank(self.rank)
        check_eta(self.eta)
        check_budgets(self.min_budget, self.max_budget)

    def resolve(self, budget: Budget) -> Self:
        """Fill in the budgets.

        Raises:
            ArgumentError: they do not fit the Trainer's `max_epochs`, or nobody gives the largest.
        """
        high = at_most(self, budget)
        low = at_least(self, budget, high, self.eta)
        return resolved(self, budget, min_budget=low, max_budget=high)

    @cached_property
    def brackets(self) -> tuple[Bracket, ...]:
        """The one bracket."""
        low, high = self.min_budget or 1.0, self.max_budget or math.inf
        return (halving_bracket(self.num_trials, low, high, self.eta, whole=self._budget.whole),)
