"""Asynchronous successive halving: promote whoever is among the best so far, and never wait.

Li, Jamieson, Rostamizadeh, Gonina, Ben-tzur, Hardt, Recht & Talwalkar, *A System for Massively Parallel
Hyperparameter Tuning*, MLSys 2020 (algorithm 2); the variant that stops trials instead of pausing them is the
one that Ray Tune and Optuna know under this name.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Self

from lightning_tune.core.budget import EPOCHS, Budget
from lightning_tune.core.checks import whole
from lightning_tune.core.decision import CONTINUE, Decision, Done, Job, Resume, Start, Stop, Wait
from lightning_tune.core.events import JSON, Reported
from lightning_tune.core.history import History
from lightning_tune.core.pareto import dominators
from lightning_tune.core.rung import Rung, Share
from lightning_tune.core.trial import Group
from lightning_tune.errors import ArgumentError
from lightning_tune.schedule.base import Scheduler
from lightning_tune.schedule.ranking import Rank, by_score, check_rank, name_of, verdict
from lightning_tune.schedule.rungs import hyperband_brackets, interleaved, levels_of, promoted
from lightning_tune.schedule.settings import (
    at_least,
    at_most,
    check_budgets,
    check_eta,
    resolved,
    words,
)


@dataclass(frozen=True)
class ASHA(Scheduler):
    """Promote a trial as soon as it is among the best 1/eta at its rung; no worker ever waits.

    Args:
        max_budget: the highest rung, in units of the budget; None is the Trainer's `max_epochs`.
        eta: at least 2; the best 1/eta of a rung go on, with eta times the budget.
        min_budget: the lowest rung; None is 1 epoch (for other units, the largest divided by eta three
            times).
        brackets: in how many brackets trials take part by turns, bracket s without its s lowest rungs, each
            compared within itself: asynchronous Hyperband. 1 is ASHA as published.
        stopping: train on past every rung unless a trial is not among the best 1/eta there by then (the first
            few are if they are the best): no checkpoints, no second chance. False pauses at every rung.
        max_paused: at most this many paused trials (with their checkpoints) are kept at each rung; the worst
            beyond that, and those that cannot be promoted however the rest turn out, are stopped at once. So
            there are at most `max_paused` times the number of rungs below the highest, of each bracket.
        rank: who is best at a rung, `(history, level, groups) -> numbers`, best first; their scores up to
            there, unless given (with several objectives: who dominates whom, then who is less crowded).

    Raises:
        ArgumentError: eta below 2, or budgets that are not above 0 or the wrong way round.

    Example:
        >>> from lightning_tune.core.budget import Budget
        >>> ASHA(eta=3).resolve(Budget(full=27)).cost(27, 1)
        '27 trials, rungs at 1, 3, 9, 27: about 81 epochs, at most 729 epochs'
    """

    max_budget: float | None = None
    eta: float = 3
    min_budget: float | None = None
    brackets: int = 1
    stopping: bool = False
    max_paused: int = 64
    rank: Rank = by_score
    _budget: Budget = field(default=EPOCHS, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        check_eta(self.eta)
        check_budgets(self.min_budget, self.max_budget)
        check_rank(self.rank)
        whole("brackets", self.brackets, 1)
        whole("max_paused", self.max_paused, 1)

    def resolve(self, budget: Budget) -> Self:
        """Fill in the budgets.

        Raises:
            ArgumentError: they do not fit the Trainer's `max_epochs`, nobody gives the largest, there are
                fewer rungs than `brackets`, or the stopping variant would have to train anew at each rung.
        """
        if self.stopping and not budget.resumes:
            raise ArgumentError(
                f"`stopping=True` of ASHA trains on past its rungs, but with `budget={budget.grows!r}` each "
                "rung trains anew: leave it out."
            )
        high = at_most(self, budget)
        low = at_least(self, budget, high, self.eta)
        copy = resolved(self, budget, min_budget=low, max_budget=high)
        if self.brackets > len(copy.levels):
            raise ArgumentError(
                f"`brackets` of ASHA must be at most the number of rungs, {len(copy.levels)} "
                f"({', '.join(f'{level:g}' for level in copy.levels)}), got {self.brackets}."
            )
        return copy

    @property
    def full_budget(self) -> float:
        """The highest rung."""
        return math.inf if self.max_budget is None else self.max_budget

    @property
    def num_trials(self) -> int | None:
        """It takes as many trials as there are."""
        return None

    @property
    def pauses(self) -> bool:
        """Trials wait at rungs, unless they are stopped there."""
        return not self.stopping

    def record(self) -> dict[str, JSON]:
        """Return the rungs, whatever settings led to them."""
        return {
            "name": "ASHA",
            "eta": self.eta,
            "levels": list(self.levels),
            "brackets": self.brackets,
            "stopping": self.stopping,
            "max_paused": self.max_paused,
            "rank": name_of(self.rank),
        }

    @property
    def allows_repeats(self) -> bool:
        """The stopping variant judges a trial while it trains, when its repeats have not begun."""
        return not self.stopping

    @cached_property
    def levels(self) -> tuple[float, ...]:
        """The rungs of the first bracket, once resolved."""
        return levels_of(self.min_budget or 1.0, self.full_budget, self.eta, whole=self._budget.whole)

    @cached_property
    def shares(self) -> tuple[Share | None, ...]:
        """Which trials take part in each bracket: as many as in Hyperband, spread evenly; None is all."""
        if self.brackets == 1:
            return (None,)
        sizes = [
            bracket.size
            for bracket in hyperband_brackets(1.0, self.eta ** (len(self.levels) - 1), self.eta, whole=False)
        ][: self.brackets]
        divisor = math.gcd(*sizes)
        cycle = interleaved([size // divisor for size in sizes])
        return tuple(Share(cycle, bracket) for bracket in range(self.brackets))

    # -- promoting

    def next_jobs(self, history: History, count: int, more: float = math.inf) -> list[Job]:
        """Return promotions, the highest rung first, then new configurations; stop what has no chance."""
        if self.stopping:
            return self._starts(history, count, more) or [_idle(history)]
        stops, resumes = self._decided(history, history.num_groups + more)
        if not resumes and more == 0 and not history.unfinished_legs:
            stops, _ = self._decided(history, None)
        trains: list[Job] = [*resumes[:count], *self._starts(history, count - len(resumes), more)]
        return [*stops, *(trains or [_idle(history)])]

    def _decided(self, history: History, ever: float | None) -> tuple[list[Job], list[Job]]:
        """Return who is stopped, and who is promoted, the highest rung first.

        Args:
            history: all trials so far.
            ever: how many trials there may be at most; None where nobody will come to a rung any more.
        """
        stops: list[Job] = []
        resumes: list[Resume] = []
        for bracket in range(self.brackets):
            bound = ever
            for rung, above in self._rungs(history, bracket):
                promotable, hopeless, bound = self._sorted_out(
                    history, rung, len(rung) if bound is None else bound
                )
                resumes += [Resume(group=group, budget=above, reason=reason) for group, reason in promotable]
                stops += [Stop(group=group, reason=reason) for group, reason in hopeless]
                bound = None if ever is None else bound
        return stops, [*sorted(resumes, key=lambda job: -job.budget)]

    def _starts(self, history: History, count: int, more: float) -> list[Job]:
        return [
            Start(
                budget=self.full_budget
                if self.stopping
                else self.levels[self._bracket(history.num_groups + number)]
            )
            for number in range(int(min(more, max(0, count))))
        ]

    def _bracket(self, ordinal: int) -> int:
        share = self.shares[0]
        return 0 if share is None else share.cycle[ordinal % len(share.cycle)]

    def _rungs(self, history: History, bracket: int) -> Iterator[tuple[Rung, float]]:
        """Yield a bracket's rungs that lead to another, lowest first, each with the level of the next."""
        levels = self.levels[bracket:]
        for level, above in zip(levels, levels[1:], strict=False):
            yield history.rung(level, self.shares[bracket]), above

    def _sorted_out(
        self, history: History, rung: Rung, bound: float
    ) -> tuple[list[tuple[int, str]], list[tuple[int, str]], float]:
        """Return who is promoted, who is stopped, and how many may come to the next rung at most.

        Args:
            history: all trials so far.
            rung: the rung.
            bound: how many may come to this rung at most.
        """
        order = self._order(history, rung, settled=bound <= len(rung))
        top = promoted(len(rung), self.eta)
        ever = math.inf if math.isinf(bound) else promoted(int(bound), self.eta)
        promotable: list[tuple[int, str]] = []
        hopeless: list[tuple[int, str]] = []
        hopeful = arriving = 0
        for number, place, least in order:
            group = history.group(number)
            if group.state != "paused":  # it has reported and is being saved: it may still fail
                arriving += 0 if group.ended else 1
                continue
            goes_on, kept = 0 <= place < top, hopeful - len(promotable) < self.max_paused
            if not goes_on and 0 <= least < ever + arriving and kept:
                hopeful += 1
                continue
            reason = verdict(self._named(rung), place, len(rung), top)
            if goes_on:
                promotable.append((number, reason))
                hopeful += 1
            else:
                full = "" if kept else f", and no more than {self.max_paused} wait"
                hopeless.append((number, reason + full))
        return promotable, hopeless, rung.beyond + hopeful + arriving + max(0.0, bound - len(rung))

    def _order(self, history: History, rung: Rung, settled: bool) -> list[tuple[int, int, int]]:
        """Return (number, place, least place) of those that wait at a rung, best first; -1 without a score.

        The least place is what the place may still become as others come or fail: with several objectives
        less than it is now, unless nobody can come any more (`settled`) and those that wait have all paused.
        """
        if self._by_number(history):
            places = [
                (number, rung.place(number) if math.isfinite(cost) else -1) for cost, number in rung.waiting
            ]
            return [(number, place, place) for number, place in places]
        ranked = self._ranked(history, rung)
        waiting = {number for _, number in rung.waiting}
        order = [(number, place) for number, place in ranked.items() if number in waiting]
        settled = settled and all(history.group(number).state == "paused" for number in waiting)
        least = {} if settled or history.objective.scalar else _least_places(rung, waiting)
        return [
            *((number, place, min(place, least.get(number, place))) for number, place in order),
            *((number, -1, -1) for number in sorted(waiting - ranked.keys())),
        ]

    def _by_number(self, history: History) -> bool:
        """Whether the rung's own order of costs is the one that counts."""
        return self.rank is by_score and history.objective.scalar

    def _ranked(self, history: History, rung: Rung) -> dict[int, int]:
        """Return the places at a rung, best first; one without a score has none."""
        ranked = self.rank(history, rung.level, [history.group(number) for _, number in rung.ranked])
        return {number: place for place, number in enumerate(ranked)}

    def _named(self, rung: Rung) -> str:
        return f"rung at {self._budget.amount(rung.level)}"

    # -- stopping

    def judge(self, report: Reported, history: History) -> Decision:
        """Stop a trial that is not among the best 1/eta at a rung that it has just passed."""
        if not self.stopping:
            return CONTINUE
        trial = history.trials[report.trial]
        group = history.group(trial.group)
        before = history.report(trial.rows[-2]).step if len(trial.rows) > 1 else 0.0
        bracket = self._bracket(group.ordinal)
        decision = CONTINUE
        for level in self.levels[bracket:-1]:
            if before < level <= report.step:
                decision = self._passes(history, group, history.rung(level, self.shares[bracket]))
                if decision.action == "stop":
                    return decision
        return decision

    def _passes(self, history: History, group: Group, rung: Rung) -> Decision:
        top = max(1, promoted(len(rung), self.eta))
        if self._by_number(history):
            place = rung.place(group.number) if math.isfinite(rung.cost(group.number)) else -1
        else:
            place = self._ranked(history, rung).get(group.number, -1)
        reason = verdict(self._named(rung), place, len(rung), top)
        return Decision(action="continue" if 0 <= place < top else "stop", reason=reason)

    # -- words

    def cost(self, max_trials: int | None, repeats: int) -> str:
        """Return trials, rungs, what they take if they come in random order, and what they take at most."""
        budget = self._budget
        levels = ", ".join(budget.figure(level) for level in self.levels)
        rungs = f"rungs at {budget.named(levels)}"
        if max_trials is None:
            return f"trials, {rungs}, until the search or a limit ends it"
        trials = max_trials * repeats
        if self.brackets > 1:
            rungs = f"{self.brackets} brackets, {rungs}"
        most = trials * (
            len(self.levels)
            if budget.argument
            else self.full_budget
            if budget.resumes
            else math.fsum(self.levels)
        )
        about = words(budget, self._expected(max_trials) * repeats)
        return f"{trials} trials, {rungs}: about {about}, at most {words(budget, most)}"

    def _expected(self, trials: int) -> float:
        """Return what so many trials take where every rung sends 1/eta of its trials on."""
        total = 0.0
        for bracket in range(self.brackets):
            size = float(sum(self._bracket(number) == bracket for number in range(trials)))
            below = 0.0
            for level in self.levels[bracket:]:
                total += size * (1.0 if self._budget.argument else level - below)
                size /= self.eta
                below = level if self._budget.resumes else 0.0
        return total


def _least_places(rung: Rung, waiting: set[int]) -> dict[int, int]:
    """Return the least places that groups may come to with several objectives: how many dominate each.

    One that arrives may push others behind a group that it does not dominate, or crowd them, so that the
    group's place gets better; but those that dominate it stay before it.
    """
    costs = {number: found for _, number in rung.ranked if (found := rung.costs(number)) is not None}
    numbers = sorted(waiting & costs.keys())
    counts = dominators([costs[number] for number in numbers], list(costs.values())) if numbers else ()
    return {number: int(count) for number, count in zip(numbers, counts, strict=True)}


def _idle(history: History) -> Job:
    """Return that nothing can be started: wait for what runs, or be done."""
    if history.unfinished_legs:
        return Wait(reason="no trial can be promoted before others report")
    return Done(reason="no trial can be promoted any more")
