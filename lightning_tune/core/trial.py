"""Trials and groups as a history shows them: read-only to everybody but the fold in `history.py`."""

import math
from array import array
from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from lightning_tune.core.events import (
    CheckpointKind,
    CheckpointSaved,
    Config,
    LegStarted,
    Origin,
    TrialStarted,
)
from lightning_tune.core.jsontext import text_to_metrics
from lightning_tune.core.pareto import nearest_ideal

if TYPE_CHECKING:
    from lightning_tune.core.history import History

State: TypeAlias = Literal["waiting", "running", "paused", "completed", "stopped", "failed"]
ENDED: frozenset[State] = frozenset({"completed", "stopped", "failed"})
Costs: TypeAlias = tuple[float, ...]
"""What trials are compared by, lower is better in every place: one number, or with several objectives one
each. All are finite; what has no such numbers has None instead."""


class Report(NamedTuple):
    """One report of a trial: the monitored values at a step, and everything else that was logged there."""

    leg: int
    step: float
    values: tuple[float, ...]
    time: float
    metrics_json: str

    @property
    def value(self) -> float:
        """The first (usually the only) monitored value."""
        return self.values[0]

    @property
    def metrics(self) -> dict[str, float]:
        """All logged metrics at this step, by name."""
        return text_to_metrics(self.metrics_json)


class Trial:
    """One configuration with a number, a seed, a state and its reports.

    The report that is its score is its best (or its last), and with several objectives its last finite one:
    the values of one epoch belong together, and to the weights that are kept.

    Attributes are kept up to date by the history the trial belongs to; treat them as read-only.
    """

    __slots__ = (
        "_history", "best_cost", "best_row", "cause", "checkpoints", "config", "ended", "error", "group",
        "last_costs", "legs", "number", "origin", "parent", "reason", "rows", "seed", "source",
        "space_version", "started", "state", "step", "stop_request",
    )  # fmt: skip

    def __init__(self, event: TrialStarted, history: "History") -> None:
        self._history = history
        self.number: int = event.trial
        self.group: int = event.group
        self.config: Config = event.config
        self.seed: int = event.seed
        self.space_version: int = event.space_version
        self.origin: Origin = event.origin
        self.source: int | None = event.source
        self.parent: int | None = event.parent
        self.started: float = event.time
        self.ended: float | None = None
        self.state: State = "waiting"
        self.reason: str = ""
        self.cause: str = ""
        self.error: str = ""
        self.step: float = 0.0
        self.legs: list[LegStarted] = []
        self.rows: array[int] = array("q")
        self.best_cost: float = math.inf
        self.last_costs: Costs | None = None
        self.best_row: int | None = None
        self.checkpoints: dict[CheckpointKind, CheckpointSaved] = {}
        self.stop_request: str | None = None

    def __repr__(self) -> str:
        shown = ", ".join(f"{value:.6g}" for value in self.scores)
        score = f"score {shown}" if shown else "no score"
        return f"<Trial {self.number}: {self.state}, {score}, {self.config}>"

    @property
    def cost(self) -> float:
        """The number that orders trials, lower is better.

        +inf without a finite report, for a failed trial, and with several objectives (see `costs`).
        """
        return math.inf if self.state == "failed" else self.best_cost

    @property
    def costs(self) -> Costs | None:
        """What trials are compared by, lower is better in every place.

        With one objective (or a callable `score`) a tuple of one number; with several, the costs of the last
        finite report. None without one and for a failed trial.
        """
        return None if self.state == "failed" else self._costs

    @property
    def _costs(self) -> Costs | None:
        return self.last_costs if math.isinf(self.best_cost) else (self.best_cost,)

    @property
    def score(self) -> float | None:
        """The best (or, with `score="last"`, the last) report in the user's own direction.

        None without one, and with several objectives (see `scores`).
        """
        return None if math.isinf(self.best_cost) else self._history.objective.value(self.best_cost)

    @property
    def scores(self) -> tuple[float, ...]:
        """The score alone, or with several objectives a number each, in the user's own directions.

        A failed trial has those that it had reported before. Empty without a finite report.
        """
        return () if self._costs is None else self._history.objective.values(self._costs)

    @property
    def named_scores(self) -> dict[str, float]:
        """With several objectives, the score in each by its monitor; empty without a finite report."""
        objective = self._history.objective
        return {} if objective.scalar else dict(zip(objective.monitor, self.scores, strict=False))

    @property
    def best_step(self) -> float | None:
        """The step of the report that is the score."""
        return None if self.best_row is None else self._history.report(self.best_row).step

    @property
    def best_budget(self) -> float:
        """The budget of the leg in which the report that is the score was made; 0 without one."""
        if self.best_row is None:
            return 0.0
        leg = self._history.report(self.best_row).leg
        return next((begun.budget for begun in self.legs if begun.leg == leg), 0.0)

    @property
    def budget(self) -> float:
        """The budget of the newest leg (0 before the first)."""
        return self.legs[-1].budget if self.legs else 0.0

    @property
    def resumable(self) -> bool:
        """Whether there is a checkpoint to train on from."""
        return not self.checkpoints.keys().isdisjoint({"pause", "last"})

    @property
    def leg(self) -> int:
        """The number of the newest leg, from 0 (-1 before the first)."""
        return self.legs[-1].leg if self.legs else -1

    @property
    def reports(self) -> list[Report]:
        """All reports, in the order they came."""
        return [self._history.report(row) for row in self.rows]

    @property
    def metrics(self) -> Mapping[str, float]:
        """Everything that was logged at the report that is the score; empty without one."""
        return {} if self.best_row is None else self._history.report(self.best_row).metrics

    def curve(self, objective: int = 0) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Return the steps and the monitored values, each of shape (num_reports,)."""
        return self._history.curve(self.rows, objective)


class Group:
    """The trials that share one configuration: one of them, or as many as there are `repeats`.

    `number` is that of its first trial, `ordinal` how many groups were started before it.
    """

    __slots__ = ("members", "number", "ordinal", "repeats")

    def __init__(self, number: int, repeats: int, ordinal: int = 0) -> None:
        self.number = number
        self.repeats = repeats
        self.ordinal = ordinal
        self.members: list[Trial] = []

    def __repr__(self) -> str:
        return f"<Group {self.number}: {self.state}, {len(self.members)} of {self.repeats} trials>"

    @property
    def config(self) -> Config:
        """The configuration that the members share."""
        return self.members[0].config

    @property
    def origin(self) -> Origin:
        """Where the configuration came from."""
        return self.members[0].origin

    @property
    def budget(self) -> float:
        """The budget that the group's members train to."""
        return max(member.budget for member in self.members)

    @property
    def complete(self) -> bool:
        """Whether every repeat has been started."""
        return len(self.members) >= self.repeats

    @property
    def state(self) -> State:
        """The members' common state: running while any is (or is still missing), failed if any failed."""
        states = {member.state for member in self.members}
        if not self.complete and "failed" not in states:
            return "running"  # a failed one spoils the mean, so its siblings that are missing are not started
        for state in ("running", "waiting", "failed", "paused", "stopped"):
            if state in states:
                return state
        return "completed"

    @property
    def ended(self) -> bool:
        """Whether the group will not train on."""
        return self.state in ENDED

    @property
    def cost(self) -> float:
        """The mean of the members' costs, lower is better; +inf until every repeat has a finite one."""
        return self.cost_so_far if self.complete else math.inf

    @property
    def cost_so_far(self) -> float:
        """The mean of the costs of the members that there are; +inf if any is."""
        return sum(member.cost for member in self.members) / len(self.members)

    @property
    def costs(self) -> Costs | None:
        """The mean of the members' costs, objective by objective; None until every repeat has them."""
        return self.costs_so_far if self.complete else None

    @property
    def costs_so_far(self) -> Costs | None:
        """The mean of the costs of the members that there are, by objective; None if any has none."""
        costs = [member.costs for member in self.members]
        found = [each for each in costs if each is not None]
        if len(found) < len(costs):
            return None
        return tuple(sum(column) / len(found) for column in zip(*found, strict=True))

    @property
    def best_member(self) -> Trial:
        """The member with the lowest cost, ties to the lower number.

        With several objectives, that which `nearest_ideal` takes for the best compromise.
        """
        found = [(member, costs) for member in self.members if (costs := member.costs) is not None]
        if not found or len(found[0][1]) == 1:
            return min(self.members, key=lambda member: (member.cost, member.number))
        return found[nearest_ideal([costs for _, costs in found]) or 0][0]

    @property
    def stderr(self) -> float | None:
        """The standard error of the mean over repeats; None with fewer than two finite costs.

        None with several objectives too (see `stderrs`).
        """
        errors = self.stderrs
        return errors[0] if len(errors) == 1 else None

    @property
    def stderrs(self) -> tuple[float, ...]:
        """The standard errors of the means over repeats, by objective; empty with fewer than two."""
        costs = [costs for member in self.members if (costs := member.costs) is not None]
        if len(costs) < 2:
            return ()
        return tuple((np.std(costs, axis=0, ddof=1) / math.sqrt(len(costs))).tolist())
