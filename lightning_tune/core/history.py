"""The in-memory view of a sweep: a fold over its events, extended by the new ones alone.

Reports lie in columns (`array`, which doubles its capacity), trials hold row numbers; so a hundred thousand
trials with a million reports open in seconds and one more trial costs what the first one did.
"""

import gc
import json
import math
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
import numpy.typing as npt

from lightning_tune.core.events import (
    JSON,
    CheckpointDeleted,
    CheckpointSaved,
    Config,
    ConfigEnqueued,
    Decided,
    Event,
    LegStarted,
    Reported,
    SessionOpened,
    SpaceDeclared,
    StopRequested,
    TrialEnded,
    TrialPaused,
    TrialStarted,
)
from lightning_tune.core.levels import Levels
from lightning_tune.core.objective import Objective
from lightning_tune.core.pareto_ranking import ParetoRanking, Standing, sorted_fronts
from lightning_tune.core.ranking import Key, Ranking
from lightning_tune.core.rung import Measure, Rung, Share
from lightning_tune.core.trial import Costs, Group, Report, Trial
from lightning_tune.errors import ArgumentError


def config_key(config: Config) -> str:
    """Return one text for equal configurations: sorted keys, and 1 is not 1.0 is not True."""
    return json.dumps(config, sort_keys=True)


class History:
    """A sweep's trials, as searchers and schedulers see them. Read-only but for `extend`.

    Args:
        objective: what the sweep optimises.
        repeats: how many trials share a configuration.
        constraint: the sweep's own rule, `config -> bool`; searchers ask it through `allows`.
        anew: whether each leg of a trial trains from nothing (a larger share of the data, a larger model);
            its score is then that of its newest leg.
    """

    def __init__(
        self,
        objective: Objective,
        repeats: int = 1,
        constraint: Callable[[Config], bool] | None = None,
        anew: bool = False,
    ) -> None:
        self.objective = objective
        self._scalar = objective.scalar
        self.repeats = repeats
        self.anew = anew
        self._constraint = constraint
        self.seq = 0
        self.spaces: dict[int, dict[str, JSON]] = {}
        self.sessions: list[SessionOpened] = []
        self.enqueued: list[ConfigEnqueued] = []
        self._consumed: set[int] = set()
        self._trials: list[Trial] = []
        self._groups: dict[int, Group] = {}
        self._order: list[Group] = []
        self._levels = Levels(self)
        self._open_groups: dict[int, Group] = {}
        self._by_config: dict[str, Group] = {}
        self._decisions: dict[tuple[int, int, float], Decided] = {}
        self._paused_by_decision: dict[int, bool] = {}
        self._interrupted: dict[int, Trial] = {}
        self._paused: dict[int, Trial] = {}
        self._ended: list[Group] = []
        self._with_files: set[int] = set()
        self._ranking = Ranking(self._key) if self._scalar else ParetoRanking(self._standing)
        self._counts: dict[str, int] = {}
        self._leg = array("q")
        self._step = array("d")
        self._time = array("d")
        self._values = tuple(array("d") for _ in objective.monitor)
        self._metrics: list[str] = []

    # -- reading

    @property
    def trials(self) -> Sequence[Trial]:
        """Every trial, in the order of its number."""
        return self._trials

    @property
    def groups(self) -> Sequence[Group]:
        """Every group (one configuration each), in the order of its start; without repeats, one a trial."""
        return self._order

    @property
    def open_groups(self) -> Sequence[Group]:
        """The groups that have not ended, oldest first."""
        return list(self._open_groups.values())

    @property
    def unfinished_legs(self) -> list[Trial]:
        """The trials whose newest leg neither reached its budget nor was ended: running, or cut short."""
        return sorted(self._interrupted.values(), key=lambda trial: trial.number)

    @property
    def paused(self) -> list[Trial]:
        """The trials that have paused and neither train nor have ended, in the order of their numbers."""
        return [self._paused[number] for number in sorted(self._paused)]

    @property
    def ended_groups(self) -> Sequence[Group]:
        """The groups that have ended, in the order of their ends; one that trained on is there again."""
        return self._ended

    @property
    def resumable(self) -> list[Trial]:
        """The trials that have a checkpoint to train on from, in the order of their numbers."""
        return [trial for trial in self.with_checkpoints if trial.resumable]

    @property
    def with_checkpoints(self) -> list[Trial]:
        """The trials that have any checkpoint file, in the order of their numbers."""
        return [self._trials[number] for number in sorted(self._with_files)]

    @property
    def num_groups(self) -> int:
        """How many configurations have been started."""
        return len(self._groups)

    @property
    def num_reports(self) -> int:
        """How many reports there are, over all trials."""
        return len(self._metrics)

    @property
    def waiting_requests(self) -> list[ConfigEnqueued]:
        """The configurations that a user enqueued and that no trial has taken yet."""
        return [request for request in self.enqueued if request.number not in self._consumed]

    def __len__(self) -> int:
        return len(self._trials)

    def __iter__(self) -> Iterator[Trial]:
        return iter(self._trials)

    def group(self, number: int) -> Group:
        """Return a group by its number."""
        return self._groups[number]

    def count(self, origin: str) -> int:
        """Return how many groups came from `origin`."""
        return self._counts.get(origin, 0)

    def allows(self, config: Config) -> bool:
        """Return whether the sweep's constraint admits a configuration (it sees a copy).

        Raises:
            ArgumentError: the constraint raised.
        """
        if self._constraint is None:
            return True
        try:
            return bool(self._constraint(dict(config)))
        except Exception as error:
            raise ArgumentError(
                f"`constraint` must be a callable `config -> bool`; for {dict(config)!r} it raised "
                f"{type(error).__name__}: {error}"
            ) from error

    def find(self, config: Config) -> Group | None:
        """Return the first group that tried exactly this configuration."""
        return self._by_config.get(config_key(config))

    def report(self, row: int) -> Report:
        """Return a report by its row."""
        values = tuple(column[row] for column in self._values)
        return Report(self._leg[row], self._step[row], values, self._time[row], self._metrics[row])

    def rung(self, level: float, share: Share | None = None, measure: Measure = "cost") -> Rung:
        """Return the groups that have reached a level, sorted by their costs there.

        The first call for a level looks at every trial; later ones find it up to date.
        """
        return self._levels.rung(level, share, measure)

    def reached(self, group: Group, level: float) -> bool:
        """Return whether a group has trained to a level, or completed short of it in a leg that led there."""
        return self._levels.group_reached(group, level)

    def cost_at(self, group: Group, level: float) -> float:
        """Return a group's score up to and including the report that reached a level, lower is better.

        +inf without a finite one.

        Raises:
            ArgumentError: there are several objectives, which have no single cost.
        """
        if not self._scalar:
            raise ArgumentError("several objectives have no single cost at a level: use `costs_at`.")
        costs = self._levels.group_costs(group, level)
        return math.inf if costs is None else costs[0]

    def costs_at(self, group: Group, level: float) -> Costs | None:
        """Return what a group is compared by at a level, lower is better in every place.

        With one objective a tuple of `cost_at`; with several, the costs of the report that reached the level
        (the last finite one up to it), the mean over repeats. None without one, and if it failed by then.
        """
        return self._levels.group_costs(group, level)

    def reported(self, trial: int, leg: int, step: float) -> bool:
        """Return whether a trial has reported this step.

        Steps rise from leg to leg, unless each leg trains anew: then it is this leg that is meant.
        """
        for row in reversed(self._trials[trial].rows):
            if self._step[row] == step and (self._leg[row] == leg or not self.anew):
                return True
            if self._leg[row] < leg if self.anew else self._step[row] < step:
                return False
        return False

    def decision(self, trial: int, leg: int, step: float) -> Decided | None:
        """Return what was decided after a report; None where that was simply to go on."""
        return self._decisions.get((trial, leg, step))

    def curve(
        self, rows: Sequence[int], objective: int = 0
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Return steps and values of some rows, each of shape (num_rows,)."""
        column = self._values[objective]
        return (
            np.array([self._step[row] for row in rows], dtype=np.float64),
            np.array([column[row] for row in rows], dtype=np.float64),
        )

    @property
    def best_group(self) -> Group | None:
        """The complete group with the lowest cost, ties to the lower number.

        With several objectives, the group of the front that is the best compromise: the nearest to the ideal
        point after each objective is scaled to the front's range. Where legs train anew, of those whose score
        is of the largest budget. None while nothing has a finite score.
        """
        best = self._ranking.best
        return None if best is None else self._groups[best]

    @property
    def front(self) -> list[Group]:
        """The complete groups that no other dominates (the Pareto front), by their first objective.

        With one objective, those that share the lowest cost. Where legs train anew, of those whose score is
        of the largest budget.
        """
        groups = [self._groups[number] for number in self._ranking.front]
        return sorted(groups, key=lambda group: group.costs or ())

    def fronts(self, groups: Iterable[Group]) -> Iterator[list[Group]]:
        """Yield the fronts of some groups alone, best first, and in each the less crowded first."""
        for front in sorted_fronts((group.number, self._standing(group.number)) for group in groups):
            yield [self._groups[number] for number in front]

    @property
    def best(self) -> Trial | None:
        """The best trial: of the best group, the member with the lowest cost, ties to the lower number."""
        group = self.best_group
        return None if group is None else group.best_member

    def _key(self, number: int) -> Key:
        """Return what orders groups: where legs train anew, the budget of the score comes first."""
        return -self._level(number), self._groups[number].cost

    def _standing(self, number: int) -> Standing:
        """Return the same with several objectives."""
        return -self._level(number), self._groups[number].costs

    def _level(self, number: int) -> float:
        """Return the budget of a group's score where legs train anew, else 0."""
        if not self.anew:
            return 0.0
        return min((member.best_budget for member in self._groups[number].members), default=0.0)

    def leaders(self, count: int) -> list[Trial]:
        """Return the best members of the `count` best complete groups, best first.

        With several objectives, front by front, and in each the less crowded first.
        """
        return [self._groups[number].best_member for number in self._ranking.numbers(count)]

    def contenders(self) -> list[Trial]:
        """Return the best member so far of each group whose repeats have not all ended: it may yet lead."""
        if self.repeats == 1:
            return []
        leading = [group.best_member for group in self._open_groups.values() if group.state != "failed"]
        return [member for member in leading if member.costs is not None]

    # -- the fold

    def extend(self, events: Iterable[Event]) -> None:
        """Fold the events that are new to this history, in the order of their sequence numbers.

        The cyclic garbage collector rests meanwhile: a fold makes no cycles, and looking for them takes half
        of the time in which a long sweep opens.
        """
        collects = gc.isenabled()
        gc.disable()
        try:
            self._extend(events)
        finally:
            if collects:
                gc.enable()

    def _extend(self, events: Iterable[Event]) -> None:
        for event in events:
            if event.seq <= self.seq:
                continue
            self.seq = event.seq
            if type(event) is Reported:
                self._reported(event)
            else:
                self._apply(event)

    def _reported(self, event: Reported) -> None:
        row = len(self._metrics)
        self._leg.append(event.leg)
        self._step.append(event.step)
        self._time.append(event.time)
        for column, value in zip(self._values, event.values, strict=True):
            column.append(value)
        self._metrics.append(event.metrics)
        trial = self._trials[event.trial]
        first = self.anew and (not trial.rows or self._leg[trial.rows[-1]] != event.leg)
        trial.rows.append(row)
        if self._scalar:
            cost = self.objective.cost(event.values)
            if cost < trial.best_cost or self.objective.score == "last" or first:
                trial.best_cost, trial.best_row = cost, row
                self._ranking.change(trial.group)
        else:
            costs = self.objective.costs(event.values)
            finite = all(map(math.isfinite, costs))
            if finite or first:
                trial.last_costs, trial.best_row = (costs if finite else None), row
                self._ranking.change(trial.group)
        self._advance(trial, event.step)

    def _advance(self, trial: Trial, step: float) -> None:
        """Note that a trial has trained to a step."""
        before = trial.step
        if step > before:
            trial.step = step
            self._levels.advanced(trial, before)

    def _apply(self, event: Event) -> None:
        match event:
            case TrialStarted():
                self._trial_started(event)
            case LegStarted():
                trial = self._trials[event.trial]
                trial.legs.append(event)
                trial.state, trial.reason, trial.ended, trial.cause, trial.error = "running", "", None, "", ""
                self._levels.began(trial)
                self._interrupted[trial.number] = trial
                self._paused.pop(trial.number, None)
                self._paused_by_decision.pop(trial.number, None)
                self._open_groups.setdefault(trial.group, self._groups[trial.group])
            case Decided():
                self._decisions[event.trial, event.leg, event.step] = event
                self._paused_by_decision[event.trial] = event.action == "pause"
            case TrialPaused():
                trial = self._trials[event.trial]
                trial.state, trial.reason = "paused", event.reason
                self._paused[trial.number] = trial
                self._advance(trial, event.step)
                if event.step >= trial.budget or self._paused_by_decision.get(trial.number, False):
                    self._interrupted.pop(trial.number, None)
            case TrialEnded():
                self._trial_ended(event)
            case CheckpointSaved():
                self._trials[event.trial].checkpoints[event.kind] = event
                self._with_files.add(event.trial)
            case CheckpointDeleted():
                kept = self._trials[event.trial].checkpoints
                for kind in [kind for kind, saved in kept.items() if saved.path == event.path]:
                    del kept[kind]
                if not kept:
                    self._with_files.discard(event.trial)
            case SpaceDeclared():
                self.spaces[event.version] = dict(event.space)
            case SessionOpened():
                self.sessions.append(event)
            case ConfigEnqueued():
                self.enqueued.append(event)
            case StopRequested():
                self._trials[event.trial].stop_request = event.reason

    def _trial_started(self, event: TrialStarted) -> None:
        trial = Trial(event, self)
        self._trials.append(trial)
        group = self._groups.get(event.group)
        if group is None:
            group = self._groups[event.group] = Group(event.group, self.repeats, len(self._order))
            self._order.append(group)
            self._open_groups[event.group] = group
            self._by_config.setdefault(config_key(event.config), group)
            self._counts[event.origin] = self._counts.get(event.origin, 0) + 1
            if event.origin == "enqueued" and event.source is not None:
                self._consumed.add(event.source)
        group.members.append(trial)
        self._ranking.change(event.group)

    def _trial_ended(self, event: TrialEnded) -> None:
        trial = self._trials[event.trial]
        trial.state, trial.reason, trial.cause, trial.error = (
            event.state,
            event.reason,
            event.cause,
            event.error,
        )
        trial.ended = event.time
        self._advance(trial, event.step)
        self._levels.ended(trial)
        self._interrupted.pop(trial.number, None)
        self._paused.pop(trial.number, None)
        self._ranking.change(trial.group)
        group = self._groups[trial.group]
        if group.ended and self._open_groups.pop(trial.group, None) is not None:
            self._ended.append(group)
