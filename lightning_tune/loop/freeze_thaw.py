"""Freeze-thaw: train a slice, freeze, and ask again what is worth the next slice, an old trial or a new one.

Swersky, Snoek & Adams, *Freeze-Thaw Bayesian Optimization*, 2014 (arXiv:1406.3896). One object decides both
what to try and who goes on, so it has both interfaces: given as `search=`, it is its own schedule. Curves are
predicted jointly (`lightning_tune.curves`): those that went far tell where others may end, and what may be
begun.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Self

import numpy as np

from lightning_tune.core.budget import EPOCHS, Budget
from lightning_tune.core.checks import whole, whole_or_none
from lightning_tune.core.decision import Done, Job, Resume, Start, Stop, Wait
from lightning_tune.core.events import Config
from lightning_tune.core.history import History
from lightning_tune.core.objective import Objective
from lightning_tune.core.rng import generator
from lightning_tune.core.space import Space
from lightning_tune.core.trial import Group
from lightning_tune.errors import ArgumentError
from lightning_tune.loop.thawing import Outlook, Paused, look
from lightning_tune.schedule.base import Scheduler
from lightning_tune.schedule.curves_of import Pair, ends_in_words, limits_of, plain_pair
from lightning_tune.schedule.interval import check_interval, check_resumes, interval_of
from lightning_tune.schedule.settings import at_most, check_budgets, is_number, resolved
from lightning_tune.search.base import Searcher
from lightning_tune.search.gp import start
from lightning_tune.search.gp.layout import Layout, layout_of
from lightning_tune.search.observed import placed
from lightning_tune.search.random import RandomSearch

_PARTS = 20
"""How many slices there are unless an interval is given."""


@dataclass(frozen=True, kw_only=True)
class FreezeThaw(Searcher, Scheduler):
    """Train in slices, and give each slice to the trial, old or new, that promises most for its cost.

    A few configurations are spread over the space and trained for one slice each. From then on the ends of
    all learning curves are predicted together, and a free worker takes whatever has the largest expected
    improvement over the best score, divided by the budget that is left to the end: the next slice of a trial
    that is paused, or the first of a new configuration. A trial at the full budget is completed. When no
    configuration may be begun any more, trials with hardly any chance to beat the best are stopped, and the
    sweep ends when all others are completed.

    It is given as `search=`, without a schedule. Failed trials count as bad as the worst.

    Args:
        starts: how many trials come before the model, at least 4; None is 4 and one for each hyperparameter,
            at most 12. Baselines and enqueued trials count.
        interval: a slice, in units of the budget; None is a twentieth of the largest, at least 1 epoch.
        threshold: the chance to beat the best below which a trial is stopped at the end, above 0 and below 1.
        max_paused: at most this many paused trials (with their checkpoints) are kept; the least promising
            beyond that are stopped.
        max_budget: the full budget; None is the Trainer's `max_epochs`.
        bounds: (low, high) that the metric cannot leave, None for no bound: (0, 1) of an accuracy, (0, None)
            of most losses. With a callable `score` they are those of the number it makes. No end is predicted
            beyond them, and a value that was reported there counts as the nearer end.

    Raises:
        ArgumentError: an argument of another kind or out of its range, or several objectives.

    Example:
        >>> from lightning_tune.core.budget import Budget
        >>> FreezeThaw().resolve(Budget(full=27)).cost(20, 1)
        '20 trials in slices of 1 epoch, each to 27 epochs at most: at most 540 epochs'
    """

    starts: int | None = None
    interval: float | None = None
    threshold: float = 0.05
    max_paused: int = 64
    max_budget: float | None = None
    bounds: Pair | None = None
    _budget: Budget = field(default=EPOCHS, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        whole_or_none("starts", self.starts, 4)
        check_interval(self.interval)
        if not is_number(self.threshold) or not 0.0 < self.threshold < 1.0:
            raise ArgumentError(
                f"`threshold` must be a probability above 0 and below 1, got {self.threshold!r}."
            )
        whole("max_paused", self.max_paused, 1)
        check_budgets(None, self.max_budget)
        object.__setattr__(self, "bounds", plain_pair(self.bounds))

    def resolve(self, given: Budget | int | None) -> Self:
        """Fill in the budgets, where it is asked as a schedule; as a search it has nothing to fill in.

        Raises:
            ArgumentError: they do not fit the Trainer's `max_epochs`, nobody gives the largest, or each rung
                would train anew.
        """
        if not isinstance(given, Budget):
            return self
        check_resumes(self, given)
        high = at_most(self, given)
        interval = interval_of(self, given, high, high / _PARTS)
        return resolved(self, given, interval=min(interval, high), max_budget=high)

    def check(self, space: Space, objective: Objective) -> None:
        """Refuse several objectives.

        Raises:
            ArgumentError: there are several, which have no single best to improve on.
        """
        if not objective.scalar:
            raise ArgumentError(
                f"FreezeThaw improves on one number, and there are {len(objective.monitor)} objectives: pass "
                "`score=` a callable that makes one number of their values (lower is better), "
                "or another search."
            )

    @property
    def full_budget(self) -> float:
        """The budget at which a trial is completed."""
        return math.inf if self.max_budget is None else self.max_budget

    @property
    def num_trials(self) -> int | None:
        """It takes as many trials as there are."""
        return None

    @property
    def pauses(self) -> bool:
        """Trials wait after every slice."""
        return True

    def size(self, space: Space) -> int | None:
        """Return the number of configurations of a finite space."""
        return space.cardinality

    # -- what to try

    def suggest(self, space: Space, history: History, rng: np.random.Generator) -> Config | Wait | Done:
        """Return a configuration far from all others while there are few trials, then the most promising."""
        layout = layout_of(space)
        if not layout.axes:
            return RandomSearch().suggest(space, history, rng)  # constants: there is one configuration
        tried, groups = placed(layout.encoding, history)
        configs: Iterator[Config]
        if self._is_early(layout, groups):
            points = start.candidates(layout, tried, max(self._num_starts(layout), len(tried) + 1), rng)
            configs = map(layout.encoding.decode, points)
        else:
            configs = (config for _, config in self._look(layout, history, rng).newcomers())
        for config in configs:
            if history.find(config) is None and history.allows(config):
                return config
        return RandomSearch().suggest(space, history, rng)

    def _num_starts(self, layout: Layout) -> int:
        return self.starts or start.num_starts(layout.axes)

    def _is_early(self, layout: Layout, groups: Sequence[Group]) -> bool:
        """Whether there is too little to model: too few trials, or none with a score."""
        return len(groups) < self._num_starts(layout) or not _scored(groups)

    def _look(self, layout: Layout, history: History, rng: np.random.Generator) -> Outlook:
        """Return what all trials and some new configurations promise."""
        full = self.max_budget or max(trial.budget for trial in history)
        (limits,) = limits_of(self.bounds, history.objective, "FreezeThaw")
        return look(history, layout, full=full, rng=rng, limits=limits)

    # -- who goes on

    def next_jobs(self, history: History, count: int, more: float = math.inf) -> list[Job]:
        """Return the slices that promise most, of paused trials and of new configurations."""
        layout = layout_of(Space.from_json(history.spaces[max(history.spaces)]))
        _, groups = placed(layout.encoding, history)
        early = self._is_early(layout, groups)
        wanted = max(len(history.waiting_requests), 1 if early else 0, self._num_starts(layout) - len(groups))
        starts: list[Job] = [Start(budget=self._after(0.0))] * int(min(more, count, wanted))
        paused = [group for group in history.open_groups if group.state == "paused"]
        left, more = count - len(starts), more - len(starts)
        stops: list[Job] = []
        trains: list[Job] = []
        if not layout.axes or not _scored(groups):
            oldest = paused[: max(left, 0)]
            trains += [Resume(group=group.number, budget=self._after(group.budget)) for group in oldest]
        elif left and (paused or more):
            stops, trains = self._chosen(layout, history, left, more, begins=not early)
        return [*stops, *(starts + trains or [_idle(history)])]

    def _chosen(
        self, layout: Layout, history: History, count: int, more: float, *, begins: bool
    ) -> tuple[list[Job], list[Job]]:
        """Return who is stopped, and the `count` slices that promise most, new ones if it `begins` any."""
        rng = generator(history.trials[0].seed, "freeze_thaw", history.num_groups)
        outlook = self._look(layout, history, rng)
        newcomers = outlook.newcomers() if more and begins else iter(())
        newcomer = next(newcomers, None)
        kept, stops = self._kept(history, outlook.paused, last=newcomer is None and (begins or not more))
        jobs: list[Job] = []
        while len(jobs) < count and (kept or newcomer):
            if newcomer is not None and not (kept and kept[0].worth >= newcomer[0]):
                jobs.append(Start(budget=self._after(0.0), config=newcomer[1]))
                more -= 1
                newcomer = next(newcomers, None) if more else None
            else:
                jobs.append(self._thawed(history, kept.pop(0)))
        return stops, jobs

    def _kept(
        self, history: History, paused: Sequence[Paused], *, last: bool
    ) -> tuple[list[Paused], list[Job]]:
        """Return who may go on, and stops: of those beyond `max_paused`, at the `last` of the hopeless."""
        kept: list[Paused] = []
        stops: list[Job] = []
        for each in paused:
            if last and each.chance < self.threshold:
                stops.append(Stop(group=each.group.number, reason=self._words(history, each)))
            elif len(kept) == self.max_paused:
                reason = f"{self._words(history, each)}, and no more than {self.max_paused} wait"
                stops.append(Stop(group=each.group.number, reason=reason))
            else:
                kept.append(each)
        return kept, stops

    def _thawed(self, history: History, each: Paused) -> Resume:
        budget = self._after(each.group.budget)
        return Resume(group=each.group.number, budget=budget, reason=self._words(history, each))

    def _after(self, budget: float) -> float:
        """Return the budget of the next slice; a remainder of less than half a slice belongs to it."""
        interval = self.interval or self.full_budget
        above = budget + interval
        return self.full_budget if above + interval / 2 > self.full_budget else above

    def _words(self, history: History, each: Paused) -> str:
        best = min(group.cost_so_far for group in history.groups)
        at = self._budget.amount(min(member.step for member in each.group.members))
        return (
            f"frozen at {at}: {100 * each.chance:.2g}% chance to beat {history.objective.value(best):g} "
            f"(predicted {ends_in_words([each.end], history.objective)})"
        )

    def cost(self, max_trials: int | None, repeats: int) -> str:
        """Return the trials, the slices, and what they take at most."""
        budget, full = self._budget, self.full_budget
        rule = f"in slices of {budget.amount(self.interval or full)}, each to {budget.amount(full)} at most"
        if max_trials is None:
            return f"trials {rule}, until the search or a limit ends it"
        trials = max_trials * repeats
        return f"{trials} trials {rule}: at most {budget.amount(trials * full)}"


def _scored(groups: Sequence[Group]) -> bool:
    return any(math.isfinite(group.cost_so_far) for group in groups)


def _idle(history: History) -> Job:
    """Return that nothing can be started: wait for what runs, or be done."""
    if history.unfinished_legs:
        return Wait(reason="every trial that may go on is training")
    return Done(reason="every trial is completed, or has hardly any chance to beat the best")
