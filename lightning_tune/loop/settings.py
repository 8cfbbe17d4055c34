"""What a sweep is, whatever runs it: space, objective, search, schedule, limits, and their coordinator."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, Self, TypeAlias

from lightning_tune.core.budget import Budget
from lightning_tune.core.checks import whole
from lightning_tune.core.events import JSON, Config
from lightning_tune.core.history import History
from lightning_tune.core.objective import Objective
from lightning_tune.core.space import Space
from lightning_tune.errors import ArgumentError
from lightning_tune.loop.choices import search_and_schedule
from lightning_tune.loop.coordinator import Coordinator
from lightning_tune.loop.dispatcher import Dispatcher
from lightning_tune.loop.failures import FailurePolicy
from lightning_tune.loop.files import SweepFiles
from lightning_tune.loop.journal import Journal, Listener
from lightning_tune.loop.keeping import Keeper
from lightning_tune.loop.limits import Duration, Limits
from lightning_tune.loop.opening import OpenSweep, open_sweep
from lightning_tune.loop.result import Result
from lightning_tune.loop.retrain import Source
from lightning_tune.loop.session import open_session
from lightning_tune.schedule import Scheduler
from lightning_tune.schedule.predicted import check_ends
from lightning_tune.search import Searcher
from lightning_tune.store import Store

Score: TypeAlias = Literal["best", "last"] | Callable[[tuple[float, ...]], float]
_SPEC_FORMAT = 1


@dataclass(frozen=True, kw_only=True)
class SweepSettings:
    """A user's settings of a sweep, checked.

    Attributes:
        space, objective, search, schedule, limits: what decides. The schedule is as given until `fitted`.
        repeats: trials of each configuration.
        seed: what all randomness derives from.
        constraint: `config -> bool`, or None.
        budget: what trials spend.
        keep_checkpoints: how many of the best trials keep theirs; with several objectives at least the front.
        max_failures: how many trials may raise; None is the larger of 3 and a tenth of `max_trials`.
        amend: accept another space on resume.
        overwrite: delete a sweep of the same name first.
    """

    space: Space
    objective: Objective
    search: Searcher
    schedule: Scheduler
    limits: Limits
    repeats: int
    seed: int
    constraint: Callable[[Config], bool] | None
    budget: Budget
    keep_checkpoints: int
    max_failures: int | None
    amend: bool
    overwrite: bool

    @classmethod
    def of(
        cls,
        space: Space | Mapping[str, Any],
        *,
        monitor: str | Sequence[str],
        mode: str | Sequence[str],
        score: Score,
        search: str | Searcher,
        schedule: str | Scheduler | None,
        max_trials: int | None,
        max_time: Duration | None,
        target: float | None,
        patience: int | None,
        min_delta: float,
        repeats: int,
        seed: int,
        constraint: Callable[[Config], bool] | None,
        budget: str,
        budget_unit: str,
        keep_checkpoints: int,
        max_failures: int | None,
        amend: bool,
        overwrite: bool,
    ) -> Self:
        """Check them.

        Raises:
            ArgumentError: one that cannot be used, named, with what it takes.
            SpaceError: a space that is empty or wrong.
        """
        objective = Objective.of(monitor, mode, score)
        for sentence in objective.suspicions():
            warnings.warn(sentence, stacklevel=4)
        searcher, scheduler = search_and_schedule(search, schedule)
        if constraint is not None and not callable(constraint):
            raise ArgumentError(
                f"`constraint` must be a callable `config -> bool`, or None, got {constraint!r}."
            )
        if whole("repeats", repeats, 1) > 1 and not scheduler.allows_repeats:
            raise ArgumentError(
                f"`repeats` must be 1 with {type(scheduler).__name__}, which compares trials while they "
                f"train, got {repeats}."
            )
        if searcher.waits and scheduler.pauses:
            raise ArgumentError(
                f"`search={type(searcher).__name__}` waits for its trials to end, and under "
                f"`schedule={type(scheduler).__name__}` they wait at rungs for more trials: use another "
                "search, or no schedule."
            )
        limits = Limits.of(
            max_trials=max_trials, max_time=max_time, target=target, patience=patience, min_delta=min_delta
        )
        FailurePolicy.of(max_failures, max_trials)
        for name, flag in (("amend", amend), ("overwrite", overwrite)):
            if not isinstance(flag, bool):
                raise ArgumentError(f"`{name}` must be True or False, got {flag!r}.")
        limits.check(objective)
        space = space if isinstance(space, Space) else Space(space)
        searcher.check(space, objective)
        scheduler.check_objective(objective)
        return cls(
            space=space,
            objective=objective,
            search=searcher,
            schedule=scheduler,
            limits=limits,
            repeats=repeats,
            seed=whole("seed", seed, 0),
            constraint=constraint,
            budget=Budget.of(budget, budget_unit),
            keep_checkpoints=whole("keep_checkpoints", keep_checkpoints, 0),
            max_failures=max_failures,
            amend=amend,
            overwrite=overwrite,
        )

    def fitted(self, schedule: Scheduler, budget: Budget, baselines: Sequence[Config]) -> Self:
        """Return them with the schedule as it fits the budget, and see that the sweep can be run.

        Raises:
            ArgumentError: nothing would end the sweep, the constraint refuses a baseline, or the schedule
                ranks by ends before its own.
        """
        check_ends(schedule)
        untouched = self.history()
        for baseline in baselines:
            if not untouched.allows(baseline):
                raise ArgumentError(f"`constraint` refuses the baseline {self.space.describe(baseline)}.")
        limited = (self.limits.max_trials, self.limits.max_time_s, self.limits.target, self.limits.patience)
        endless = self.search.size(self.space) is None and schedule.num_trials is None
        if endless and all(limit is None for limit in limited):
            raise ArgumentError(
                f"nothing ends this sweep: {type(self.search).__name__} has no end of its own. Give "
                "`max_trials=`, `max_time=`, `target=` or `patience=`."
            )
        limits = self.limits
        if limits.max_trials is None:
            limits = replace(limits, max_trials=schedule.num_trials)
        return replace(self, schedule=schedule, budget=budget, limits=limits)

    @property
    def num_trials(self) -> int | None:
        """How many configurations there will be at most, as far as one can tell."""
        bounds = (self.limits.max_trials, self.search.size(self.space))
        return min((bound for bound in bounds if bound is not None), default=None)

    @property
    def cost(self) -> str:
        """What the sweep costs at most, in words."""
        return self.schedule.cost(self.num_trials, self.repeats)

    def open(self, name: str, folder: Path | None, store: Store) -> OpenSweep:
        """Find or make the sweep in a store.

        Raises:
            SweepExistsError: it is there with something else that may not change.
        """
        return open_sweep(
            name=name,
            folder=folder,
            store=store,
            spec=self._spec(),
            space=self.space,
            history=self.history(),
            amend=self.amend,
            overwrite=self.overwrite,
        )

    def history(self) -> History:
        """Return the history of a sweep of which nothing has happened."""
        return History(self.objective, self.repeats, self.constraint, anew=not self.budget.resumes)

    def result(
        self, name: str, folder: Path | None, reason: str, history: History, source: Source | None = None
    ) -> Result:
        """Return what came of the sweep."""
        return Result(
            name=name,
            folder=folder,
            reason=reason,
            space=self.space,
            history=history,
            budget=self.budget,
            source=source,
        )

    def _spec(self) -> dict[str, JSON]:
        """Return what may not change when the sweep is resumed."""
        score = self.objective.score
        return {
            "format": _SPEC_FORMAT,
            "monitor": list(self.objective.monitor),
            "mode": list(self.objective.mode),
            "score": score if isinstance(score, str) else getattr(score, "__qualname__", "callable"),
            "search": self.search.describe(),
            "schedule": self.schedule.record(),
            "seed": self.seed,
            "repeats": self.repeats,
            "budget": self.budget.grows,
            "budget_unit": self.budget.unit,
        }

    def coordinator(
        self,
        sweep: OpenSweep,
        *,
        baselines: Sequence[Config],
        listeners: Sequence[Listener],
        provenance: Mapping[str, JSON],
    ) -> Coordinator:
        """Return the coordinator of an open sweep, having recorded that a session begins.

        Args:
            sweep: the sweep.
            baselines: configurations to try first.
            listeners: who hears of every event.
            provenance: settings to record of this session, to tell what changed later.
        """
        journal = Journal(name=sweep.name, store=sweep.store, history=sweep.history, listeners=listeners)
        open_session(journal, provenance)
        keeper = Keeper(journal=journal, files=SweepFiles(sweep.folder), keep=self.keep_checkpoints)
        keeper.tidy()
        dispatcher = Dispatcher(
            journal=journal,
            keeper=keeper,
            space=self.space,
            search=self.search.resolve(self.limits.max_trials),
            schedule=self.schedule,
            limits=self.limits,
            seed=self.seed,
            budget=self.budget,
            baselines=baselines,
        )
        return Coordinator(
            journal=journal,
            keeper=keeper,
            dispatcher=dispatcher,
            schedule=self.schedule,
            limits=self.limits,
            failures=FailurePolicy.of(self.max_failures, self.limits.max_trials),
        )
