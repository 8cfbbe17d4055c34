"""The median rule: stop a trial whose score is worse than what others had on average by then.

Golovin, Solnik, Moitra, Kochanski, Karro & Sculley, *Google Vizier: A Service for Black-Box Optimization*,
KDD 2017, section 3.2. There the others are the trials that have completed; here all that came as far, so that
the rule works from the first few trials on and with many workers. (Optuna's pruner of this name compares with
the values of completed trials at that very step, not with their running averages, which lag behind: it stops
more.)

With several objectives a trial is stopped only if it is worse than the median in every one of them: what is
better than most in something may be on the front.
"""

import bisect
import itertools
import math
import operator
from dataclasses import dataclass, field, replace
from typing import Self

import numpy as np

from lightning_tune.core.budget import EPOCHS, Budget
from lightning_tune.core.checks import whole
from lightning_tune.core.decision import CONTINUE, Decision, Job
from lightning_tune.core.events import JSON, Reported
from lightning_tune.core.history import History
from lightning_tune.core.rung import Rung
from lightning_tune.core.trial import Costs
from lightning_tune.schedule.base import Scheduler
from lightning_tune.schedule.full import FullBudget
from lightning_tune.schedule.interval import check_interval, check_resumes, interval_of, step_before
from lightning_tune.schedule.settings import at_least, at_most, check_budgets, resolved

_PARTS = 20
"""How many levels there are where no smallest budget stands out."""
_WORST = itertools.repeat(math.inf)
"""The costs of a trial that has none."""


@dataclass(frozen=True)
class MedianStopping(Scheduler):
    """Train every trial to the full budget, unless it falls behind the median of the others.

    At every `interval` a trial is stopped if its score so far is strictly worse than the median of the
    running averages, up to that level, of the other trials that came as far (with several objectives, if it
    is in every one of them). A trial whose report passes several levels at once is compared at the last of
    them. No trial waits, and none is taken up again.

    Args:
        min_trials: how many others must have come as far; those without a finite average do not count.
        min_budget: the lowest level at which trials are compared; None is the first.
        interval: how far apart levels are, in units of the budget; None is 1 epoch (for other units, a
            twentieth of the largest).
        max_budget: the budget of every trial; None is the Trainer's `max_epochs`.

    Raises:
        ArgumentError: `min_trials` is no whole number of at least 1, budgets or interval are not above 0, or
            the budgets are the wrong way round.

    Example:
        >>> from lightning_tune.core.budget import Budget
        >>> MedianStopping().resolve(Budget(full=27)).cost(20, 1)
        '20 trials of 27 epochs, compared every epoch from 1 epoch on: at most 540 epochs'
    """

    min_trials: int = 5
    min_budget: float | None = None
    interval: float | None = None
    max_budget: float | None = None
    _budget: Budget = field(default=EPOCHS, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        whole("min_trials", self.min_trials, 1)
        check_budgets(self.min_budget, None if self.max_budget == math.inf else self.max_budget)
        check_interval(self.interval)

    def resolve(self, budget: Budget) -> Self:
        """Fill in the budgets.

        Raises:
            ArgumentError: they do not fit the Trainer's `max_epochs`, nobody gives the largest although the
                levels depend on it, or each rung would train anew.
        """
        check_resumes(self, budget)
        high = at_most(self, budget, needed=not budget.least and self.interval is None)
        interval = interval_of(self, budget, high, budget.least or high / _PARTS)
        first = min(interval, high) if self.min_budget is None else self.min_budget
        low = at_least(replace(self, min_budget=first), budget, high, 2)
        return resolved(self, budget, min_budget=low, interval=interval, max_budget=high)

    @property
    def full_budget(self) -> float:
        """The budget of every trial."""
        return math.inf if self.max_budget is None else self.max_budget

    @property
    def num_trials(self) -> int | None:
        """It takes as many trials as there are."""
        return None

    @property
    def allows_repeats(self) -> bool:
        """A trial is judged while it trains, when its repeats have not begun."""
        return False

    def next_jobs(self, history: History, count: int, more: float = math.inf) -> list[Job]:
        """Return new trials, and those that had completed under a smaller budget, as without a schedule."""
        return FullBudget(self.max_budget).next_jobs(history, count, more)

    def judge(self, report: Reported, history: History) -> Decision:
        """Stop a trial that is worse than the median at the level that it has just passed."""
        trial = history.trials[report.trial]
        level = self._level(report.step)
        if not step_before(history, trial, report.step) < level < self.full_budget:
            return CONTINUE
        rung = history.rung(level, measure="mean")
        others, medians = (_others if history.objective.scalar else _others_of_each)(rung, trial.group)
        costs = history.costs_at(history.group(trial.group), level)
        if others < self.min_trials or not all(map(operator.gt, costs or _WORST, medians)):
            return CONTINUE
        score = "no score" if costs is None else _shown(history.objective.values(costs))
        middle = _shown(history.objective.values(medians))
        return Decision(
            action="stop",
            reason=f"at {self._budget.amount(level)}: {score}, worse than the median {middle} of {others} "
            "running averages",
        )

    def _level(self, step: float) -> float:
        """Return the highest level at or below a step; 0 below the first."""
        interval = self.interval or 1.0
        count = math.floor(step / interval + 1e-9)
        level = count * interval
        level = level if level <= step else (count - 1) * interval
        return level if level >= (self.min_budget or 0.0) else 0.0

    def cost(self, max_trials: int | None, repeats: int) -> str:
        """Return the number of trials, when they are compared, and of epochs at most."""
        budget = self._budget
        known = math.isfinite(self.full_budget)
        each = f" of {budget.amount(self.full_budget)}" if known else ""
        every = f"compared every {budget.amount(self.interval or 1.0).removeprefix('1 ')}"
        rule = f"trials{each}, {every} from {budget.amount(self.min_budget or 1.0)} on"
        if max_trials is None:
            return f"{rule}, until the search or a limit ends it"
        trials = max_trials * repeats
        total = f": at most {budget.amount(trials * self.full_budget)}" if known else ""
        return f"{trials} {rule}{total}"

    def record(self) -> dict[str, JSON]:
        """Return its settings without the budget: a larger one is allowed, and finished trials train on."""
        return replace(self, max_budget=None).describe()


def _others(rung: Rung, number: int) -> tuple[int, Costs]:
    """Return how many other groups have a finite running average, and the median of these.

    The group itself is left out exactly, by its place in the order.
    """
    finite = bisect.bisect_left(rung.ranked, (math.inf, -1))
    own = rung.place(number) if number in rung else finite
    count = finite - (own < finite)
    if not count:
        return 0, ()
    low, high = ((count - 1) // 2, count // 2)
    return count, (sum(rung.ranked[place + (place >= own)][0] for place in (low, high)) / 2,)


def _others_of_each(rung: Rung, number: int) -> tuple[int, Costs]:
    """Return the same with several objectives, and the median of each."""
    others = [
        costs for _, other in rung.ranked if other != number and (costs := rung.costs(other)) is not None
    ]
    return len(others), tuple(np.median(others, axis=0).tolist()) if others else ()


def _shown(values: Costs) -> str:
    return ", ".join(f"{value:g}" for value in values)
