"""Stop a trial whose learning curve will hardly lead past the best of the sweep.

Domhan, Springenberg & Hutter, *Speeding up Automatic Hyperparameter Optimization of Deep Neural Networks by
Extrapolation of Learning Curves*, IJCAI 2015: after each report the rest of the curve is predicted, and the
trial ends if the probability that it beats the best so far is small. The rule looks at nothing but the
trial's own curve and the best score, so it works with any schedule: `CurveStopping(Hyperband())` stops trials
on their way between rungs too.

A prediction from one curve alone knows nothing of what is usual here: a plateau before a late rise, a
learning rate that drops at the end. So a trial is not stopped as long as it is not clearly behind where the
best completed trial was at the same budget. On published curves whose accuracy stays at chance for fifty
epochs this took the mean regret of sweeps from 0.056 to 0.005 (`benchmarks/stopping.py`).

With several objectives a trial is stopped only if there is one trial of the front that it will hardly beat in
any of them: it would be dominated by that one.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Self

import numpy as np

from lightning_tune.core.budget import EPOCHS, Budget
from lightning_tune.core.checks import whole
from lightning_tune.core.decision import Decision, Job
from lightning_tune.core.events import JSON, Reported
from lightning_tune.core.history import History
from lightning_tune.core.objective import Objective
from lightning_tune.core.trial import Costs, Group, Trial
from lightning_tune.errors import ArgumentError
from lightning_tune.schedule.base import Scheduler
from lightning_tune.schedule.curves_of import Bounds, curves_of, ends_in_words, limits_of, plain_bounds
from lightning_tune.schedule.full import FullBudget
from lightning_tune.schedule.halving import Synchronous
from lightning_tune.schedule.interval import check_interval, check_resumes, interval_of, step_before
from lightning_tune.schedule.population import PopulationBased
from lightning_tune.schedule.ranking import Going
from lightning_tune.schedule.settings import at_least, at_most, check_budgets, is_number, resolved

if TYPE_CHECKING:
    from lightning_tune.curves.prediction import Prediction

_PARTS = 20
"""How many levels there are where no smallest budget stands out."""
CLEARLY = 2.0
"""By how many times its own noise a curve is behind, when it is."""
_REPORTS = 4
"""A curve of fewer is not judged, unless a smallest budget is given: it says next to nothing yet."""


@dataclass(frozen=True)
class CurveStopping(Scheduler):
    """Train every trial to the full budget, unless its learning curve says that it will hardly beat the best.

    At every `interval` the value at the full budget is predicted. If the probability that it beats the best
    score of all other trials is below `threshold`, the trial is stopped. No trial waits because of it, and
    none is taken up again. The first trials train on until `min_trials` have come to the full budget;
    whoever is the best now is never stopped, and neither is who is not behind where the best completed trial
    was at the same budget.

    Args:
        schedule: another schedule, which says who trains when and how far; a trial is stopped besides, and at
            a synchronous rung it has no place then. None trains every trial to the full budget.
        threshold: the probability below which a trial is stopped, above 0 and below 1.
        min_delta: by how much the best must be beaten, in the monitor's own unit.
        min_trials: how many trials must have come to the full budget, at least 1.
        min_budget: the budget at which a trial is first judged; None is its fourth report.
        interval: how far apart judgements are, in units of the budget; None is 1 epoch (for other units, a
            twentieth of the largest).
        max_budget: the budget of every trial; None is the Trainer's `max_epochs`. With `schedule` it is that
            one's.
        bounds: (low, high) that the metric cannot leave, None for no bound: (0, 1) of an accuracy, (0, None)
            of most losses; with several objectives a list of pairs, in the order of `monitor`. With a
            callable `score` they are those of the number it makes. No end is predicted beyond them, and a
            value that was reported there counts as the nearer end.

    Raises:
        ArgumentError: an argument of another kind or out of its range, a `schedule` whose trials are no
            single learning curves, or `max_budget` beside one.

    Example:
        >>> from lightning_tune.core.budget import Budget
        >>> CurveStopping().resolve(Budget(full=27)).cost(20, 1)
        '20 trials of 27 epochs, stopped below a 5% chance to beat the best: at most 540 epochs'
    """

    schedule: Scheduler | None = None
    threshold: float = 0.05
    min_delta: float = 0.0
    min_trials: int = 1
    min_budget: float | None = None
    interval: float | None = None
    max_budget: float | None = None
    bounds: Bounds = None
    _budget: Budget = field(default=EPOCHS, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        _check_schedule(self.schedule)
        if not is_number(self.threshold) or not 0.0 < self.threshold < 1.0:
            raise ArgumentError(
                f"`threshold` must be a probability above 0 and below 1, got {self.threshold!r}."
            )
        if not is_number(self.min_delta) or self.min_delta < 0:
            raise ArgumentError(f"`min_delta` must be a finite number of at least 0, got {self.min_delta!r}.")
        whole("min_trials", self.min_trials, 1)
        check_budgets(self.min_budget, self.max_budget)
        check_interval(self.interval)
        object.__setattr__(self, "bounds", plain_bounds(self.bounds))

    def check_objective(self, objective: Objective) -> None:
        """Refuse bounds that are not one pair an objective, and what the other schedule refuses.

        Raises:
            ArgumentError: naming what was given, and what it takes.
        """
        limits_of(self.bounds, objective, "CurveStopping")
        self._trains.check_objective(objective)

    def resolve(self, budget: Budget) -> Self:
        """Fill in the budgets, the other schedule's too.

        Raises:
            ArgumentError: they do not fit the Trainer's `max_epochs`, nobody gives the largest, or each rung
                would train anew.
        """
        check_resumes(self, budget)
        inner = self.schedule
        if inner is None:
            high = at_most(self, budget)
        elif self.max_budget is not None:
            raise ArgumentError(
                f"`max_budget` of CurveStopping is that of its schedule: give it to {type(inner).__name__}."
            )
        else:
            inner = inner.resolve(budget)
            high = inner.full_budget
            if math.isinf(high):
                high = at_most(self.schedule, budget)
        interval = interval_of(self, budget, high, budget.least or high / _PARTS)
        low = None if self.min_budget is None else at_least(self, budget, high, 2)
        if isinstance(inner, Synchronous):
            inner = resolved(inner, budget, rank=Going(inner.rank))
        own_high = high if inner is None else None
        copy = replace(self, schedule=inner)
        return resolved(copy, budget, min_budget=low, interval=interval, max_budget=own_high)

    @property
    def full_budget(self) -> float:
        """The budget of a trial that is never stopped."""
        return self._trains.full_budget

    @property
    def num_trials(self) -> int | None:
        """As many as the other schedule takes; without one as many as there are."""
        return self._trains.num_trials

    @property
    def allows_repeats(self) -> bool:
        """A trial is judged while it trains, when its repeats have not begun."""
        return False

    @property
    def pauses(self) -> bool:
        """Whether trials wait at the other schedule's rungs."""
        return self._trains.pauses

    @property
    def _trains(self) -> Scheduler:
        """What says who trains."""
        return FullBudget(self.max_budget) if self.schedule is None else self.schedule

    def next_jobs(self, history: History, count: int, more: float = math.inf) -> list[Job]:
        """Return what the other schedule wants; without one new trials, and those that may train on."""
        return self._trains.next_jobs(history, count, more)

    def judge(self, report: Reported, history: History) -> Decision:
        """Stop whom the other schedule stops, and a trial whose curve hardly leads past the best."""
        decision = self._trains.judge(report, history)
        trial = history.trials[report.trial]
        if decision.action != "continue" or not self._is_due(trial, report.step, history):
            return decision
        front = history.front
        group = history.group(trial.group)
        if not front or group in front or not self._enough(history):
            return decision
        stop = self._hopeless(history, group, report.step, [each.costs for each in front])
        return decision if stop is None or self._abreast(history, group, report.step) else stop

    def _abreast(self, history: History, group: Group, step: float) -> bool:
        """Whether a group is not clearly behind where the best completed one was at the same budget."""
        if not history.objective.scalar:
            return False
        from lightning_tune.curves.noise import noise

        leader = history.group(history.rung(self.full_budget).ranked[0][1])
        (limits,) = limits_of(self.bounds, history.objective, "CurveStopping")
        own, then = curves_of(history, [group, leader], full=self.full_budget, upto=step, limits=limits).costs
        own, then = own[np.isfinite(own)], then[np.isfinite(then)]
        if not len(own) or not len(then):
            return False
        return bool(own.min() <= then.min() - self.min_delta + CLEARLY * noise(own[None])[0])

    def _is_due(self, trial: Trial, step: float, history: History) -> bool:
        """Whether a report passes a level, below the budget at which the trial ends or pauses anyway."""
        if step >= min(trial.budget, self.full_budget):
            return False
        if len(trial.rows) < _REPORTS if self.min_budget is None else step < self.min_budget:
            return False
        before = step_before(history, trial, step)
        interval = self.interval or 1.0
        return math.floor(step / interval + 1e-9) > math.floor(before / interval + 1e-9)

    def _enough(self, history: History) -> bool:
        """Whether enough trials have come to the full budget with a score."""
        rung = history.rung(self.full_budget)
        scored = (number for _, number in rung.ranked if rung.costs(number) is not None)
        return len(list(itertools.islice(scored, self.min_trials))) == self.min_trials

    def _hopeless(
        self, history: History, group: Group, step: float, front: Sequence[Costs | None]
    ) -> Decision | None:
        """Return the stop of a group that hardly beats one of the front in any objective, or None."""
        best = np.array([costs for costs in front if costs is not None])
        within = limits_of(self.bounds, history.objective, "CurveStopping")
        targets = np.clip(best, *np.transpose(within)) - self.min_delta
        found = []
        for objective, limits in enumerate(within):
            curves = curves_of(history, [group], full=self.full_budget, objective=objective, limits=limits)
            if not curves.known.all():
                return None
            found.append(curves.predicted(self.full_budget))
        chances = np.stack([each.prob_better(targets[:, place]) for place, each in enumerate(found)], axis=1)
        most = chances.max(axis=1)  # the best chance in any objective against each of the front
        worst = int(most.argmin())
        if most[worst] >= self.threshold:
            return None
        return Decision(action="stop", reason=self._reason(history, step, found, best[worst], most[worst]))

    def _reason(
        self,
        history: History,
        step: float,
        found: Sequence["Prediction"],
        best: Sequence[float],
        chance: float,
    ) -> str:
        """Return a stop in words, in the user's own direction."""
        by = f" by {self.min_delta:g}" if self.min_delta else ""
        where = " in any objective" if len(found) > 1 else ""
        target = ", ".join(f"{value:g}" for value in history.objective.values(tuple(map(float, best))))
        return (
            f"at {self._budget.amount(step)}: {100 * chance:.2g}% chance to beat {target}{by}{where} at "
            f"{self._budget.amount(self.full_budget)} (predicted {ends_in_words(found, history.objective)})"
        )

    # -- words

    def cost(self, max_trials: int | None, repeats: int) -> str:
        """Return the trials, the rule, and what they take at most."""
        rule = f"stopped below a {100 * self.threshold:g}% chance to beat the best"
        if self.schedule is not None:
            return f"{self.schedule.cost(max_trials, repeats)}; {rule}"
        each = f"trials of {self._budget.amount(self.full_budget)}, {rule}"
        if max_trials is None:
            return f"{each}, until the search or a limit ends it"
        trials = max_trials * repeats
        return f"{trials} {each}: at most {self._budget.amount(trials * self.full_budget)}"

    def notes(self) -> Sequence[str]:
        """Return what the other schedule has to say."""
        return self._trains.notes()

    def record(self) -> dict[str, JSON]:
        """Return its settings; alone without the budget: a larger one lets finished trials train on."""
        own = replace(self, schedule=None, max_budget=None).describe()
        return own if self.schedule is None else {**own, "schedule": self.schedule.record()}


def _check_schedule(schedule: object) -> None:
    """Refuse what cannot be told besides who is to stop.

    Raises:
        ArgumentError: naming it.
    """
    if schedule is None:
        return
    if not isinstance(schedule, Scheduler):
        raise ArgumentError(
            "`schedule` of CurveStopping must be a Scheduler, such as Hyperband(), or None, got "
            f"{schedule!r}."
        )
    if isinstance(schedule, CurveStopping | PopulationBased):
        raise ArgumentError(
            f"`schedule` of CurveStopping must not be {type(schedule).__name__}: use SuccessiveHalving(), "
            "Hyperband(), ASHA() or MedianStopping(), or None."
        )
