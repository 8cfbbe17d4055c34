"""Population-based training: copies of the best replace the worst, with their settings changed a little.

Jaderberg, Dalibard, Osindero, Czarnecki, Donahue, Razavi, Vinyals, Green, Dunning, Simonyan, Fernando &
Kavukcuoglu, *Population Based Training of Neural Networks*, 2017 (arXiv:1711.09846), with truncation
selection. Synchronous: a generation is decided when all of its members have come to its level, so what is
copied does not depend on who was faster, and a decision that was cut short is read off the history and
finished.
"""

import bisect
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Self

from lightning_tune.core.budget import EPOCHS, Budget
from lightning_tune.core.checks import whole
from lightning_tune.core.decision import Done, Job, Resume, Start, Stop, Wait
from lightning_tune.core.events import Config
from lightning_tune.core.history import History
from lightning_tune.core.rng import generator
from lightning_tune.core.space import Space
from lightning_tune.core.trial import Trial
from lightning_tune.errors import ArgumentError
from lightning_tune.schedule.base import Scheduler
from lightning_tune.schedule.explore import Explorer
from lightning_tune.schedule.generation import Generation
from lightning_tune.schedule.interval import check_interval, check_resumes, interval_of
from lightning_tune.schedule.settings import at_most, check_budgets, is_number, resolved

_PARTS = 10
"""How many generations there are unless an interval is given."""
_TRIES = 100
"""Draws for a configuration that the constraint allows, before one is copied unchanged."""


@dataclass(frozen=True)
class PopulationBased(Scheduler):
    """Train a population; at every interval the worst go on from copies of the best, with other settings.

    All members pause at each level. The worst `quantile` of them are stopped, and each is replaced by a new
    trial that starts from the checkpoint of one of the best `quantile`, with its configuration changed a
    little; all others go on. Members are ranked by their newest report (not their best), since it is their
    weights of now that are copied (with several objectives by who dominates whom, then who is less crowded);
    a copy that has not reported yet stands where its parent stood. A member
    that failed is replaced as well; one that its Trainer completed early keeps its place and is never copied.

    Only settings that a checkpoint does not fix can be explored: a learning rate or a dropout, not a width.

    Args:
        population: how many train side by side, at least 2.
        interval: how far apart generations are, in units of the budget; None is a tenth of the largest.
        quantile: the share that is replaced, and that is copied from; above 0, at most 0.5 (at least one
            member each).
        perturb: a number is multiplied by one of these factors. An ordered choice moves to a neighbour.
        resample: how likely a value is drawn anew instead; the only way in which an unordered choice changes.
        max_budget: the budget of every member; None is the Trainer's `max_epochs`.

    Raises:
        ArgumentError: naming the argument that does not fit.

    Example:
        >>> from lightning_tune.core.budget import Budget
        >>> PopulationBased(8).resolve(Budget(full=100)).cost(None, 1)
        '8 members, 10 generations of 10 epochs, at most 18 copies: 26 trials, at most 800 epochs'
    """

    population: int = 8
    interval: float | None = None
    quantile: float = 0.25
    perturb: Sequence[float] = (0.8, 1.2)
    resample: float = 0.25
    max_budget: float | None = None
    _budget: Budget = field(default=EPOCHS, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        whole("population", self.population, 2)
        check_interval(self.interval)
        check_budgets(None, self.max_budget)
        if not is_number(self.quantile) or not 0 < self.quantile <= 0.5:
            raise ArgumentError(
                f"`quantile` must be a number above 0 and at most 0.5 (the share that is replaced), got "
                f"{self.quantile!r}."
            )
        if not is_number(self.resample) or not 0 <= self.resample <= 1:
            raise ArgumentError(f"`resample` must be a probability, from 0 to 1, got {self.resample!r}.")
        object.__setattr__(self, "perturb", _factors(self.perturb))

    def resolve(self, budget: Budget) -> Self:
        """Fill in the budgets.

        Raises:
            ArgumentError: they do not fit the Trainer's `max_epochs`, nobody gives the largest, or each rung
                would train anew.
        """
        check_resumes(self, budget)
        high = at_most(self, budget)
        interval = interval_of(self, budget, high, high / _PARTS)
        return resolved(self, budget, interval=interval, max_budget=high)

    @property
    def full_budget(self) -> float:
        """The budget of every member."""
        return math.inf if self.max_budget is None else self.max_budget

    @property
    def num_trials(self) -> int:
        """The population and all that may be copied."""
        return self.population + (len(self.levels) - 1) * self._share(self.population)

    @property
    def pauses(self) -> bool:
        """Members wait until their generation is complete."""
        return True

    @property
    def allows_repeats(self) -> bool:
        """Each member is one trial."""
        return False

    @cached_property
    def levels(self) -> tuple[float, ...]:
        """The levels at which a generation ends, once resolved; the last is the largest budget."""
        interval, full = self.interval or self.full_budget, self.full_budget
        count = math.ceil(full / interval - 1e-9)
        return (*(interval * number for number in range(1, count)), full)

    def _share(self, size: int) -> int:
        """Return how many of a generation are replaced."""
        return max(1, math.floor(size * self.quantile + 1e-9)) if size > 1 else 0

    # -- deciding

    def next_jobs(self, history: History, count: int, more: float = math.inf) -> list[Job]:
        """Return the population's starts, then what is decided where a generation is complete."""
        missing = self.population - sum(trial.parent is None for trial in history.trials)
        if missing > 0 and more > 0:
            return [Start(budget=self.levels[0])] * int(min(missing, more, count))
        jobs: list[Job] = []
        level = min((group.budget for group in history.open_groups), default=math.inf)
        if math.isfinite(level):
            generation = Generation(history, level, self.levels)
            if not generation.complete:
                return [Wait(reason=f"{self._name(level)} is not complete yet")]
            jobs = self._decided(generation, history, count, more)
        if not jobs and history.unfinished_legs:
            return [Wait(reason="a later generation is not complete yet")]
        return jobs or [Done(reason="every member has had its full budget or has ended")]

    def _decided(self, generation: Generation, history: History, count: int, more: float) -> list[Job]:
        """Return who is stopped, then the copies, then who goes on: a parent waits until it is copied."""
        name, level = self._name(generation.level), generation.next
        replaced = self._replaced(generation, history.num_groups, more)
        stops: list[Job] = [
            Stop(
                group=loser.group,
                reason=f"{name}: {generation.place(loser)}, replaced by a copy of trial {parent.number}",
            )
            for loser, parent in replaced
            if loser.state == "paused"
        ]
        starts: list[Job] = [
            Start(
                budget=level,
                config=self._explored(history, parent, history.num_groups + place),
                parent=parent.number,
            )
            for place, (_, parent) in enumerate(replaced[:count])
        ]
        losers = {loser.number for loser, _ in replaced}
        resumes: list[Job] = [
            Resume(group=trial.group, budget=level, reason=f"{name}: {generation.place(trial)}, goes on")
            for trial in generation.waiting
            if trial.number not in losers
        ]
        return [*stops, *[*starts, *resumes][:count]]

    def _replaced(self, generation: Generation, first: int, more: float) -> list[tuple[Trial, Trial]]:
        """Return who is still to be replaced, each with the trial that it is replaced by a copy of.

        Args:
            generation: the generation.
            first: how many configurations there are, which is the place of the first copy.
            more: how many there may still be.
        """
        ranked = generation.ranked
        share = self._share(len(ranked))
        scored = [trial for trial in ranked if generation.standing(trial) is not None]
        parents = [trial for trial in scored[:share] if trial in generation.waiting]
        if not parents:
            return []
        worst = ranked[len(ranked) - max(share, len(ranked) - len(scored)) :]
        losers = [
            trial
            for trial in worst
            if trial in generation.waiting
            or (trial.budget == generation.level and trial.state in ("failed", "stopped"))
        ][generation.copies() :]
        chosen = [
            (loser, parents[int(generator(loser.seed, "exploit", first + place).integers(len(parents)))])
            for place, loser in enumerate(losers)
        ]
        return chosen[: int(min(more, len(chosen)))]

    def _explored(self, history: History, parent: Trial, number: int) -> Config:
        """Return a configuration near the parent's, for the configuration that is started as `number`.

        The parent's own where the space was amended so that it is none of it any more, or where the
        constraint refuses whatever is drawn.
        """
        space = Space.from_json(history.spaces[max(history.spaces)])
        if not space.contains(parent.config):
            return parent.config
        explorer = Explorer(factors=self.perturb, resample=self.resample)
        rng = generator(parent.seed, "explore", number)
        for _ in range(_TRIES):
            config = explorer(space, parent.config, rng)
            if history.allows(config):
                return config
        return parent.config

    def _name(self, level: float) -> str:
        return f"generation {bisect.bisect_left(self.levels, level) + 1}"

    # -- words

    def cost(self, max_trials: int | None, repeats: int) -> str:
        """Return the members, the generations, and what they take at most."""
        trials = min(self.num_trials, max_trials or self.num_trials)
        members = min(self.population, trials)
        budget, generations = self._budget, len(self.levels)
        copies = min(trials - members, (generations - 1) * self._share(members))
        return (
            f"{members} members, {generations} generations of {budget.amount(self.levels[0])}, at most "
            f"{copies} copies: {members + copies} trials, at most {budget.amount(members * self.full_budget)}"
        )


def _factors(perturb: Any) -> tuple[float, ...]:
    """Return the factors as a tuple.

    Raises:
        ArgumentError: there are none, or one is no number above 0.
    """
    factors = tuple(perturb) if isinstance(perturb, Iterable) and not isinstance(perturb, str) else ()
    if not factors or not all(is_number(factor) and factor > 0 for factor in factors):
        raise ArgumentError(f"`perturb` must be factors above 0, such as (0.8, 1.2), got {perturb!r}.")
    return factors
