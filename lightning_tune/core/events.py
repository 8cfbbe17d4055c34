"""Everything that can happen to a sweep, one frozen record each.

A sweep *is* its events: the store appends them, `History` folds them, loggers and screens listen to them.
`seq` is the order of the fold; it is 0 until the store has given the event its number inside the write
transaction. Times are seconds since the epoch (UTC). A step is a unit of the budget, counted from the
beginning of the trial (epochs by default; a validation in the middle of an epoch has a fractional step).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, TypeAlias

JSON: TypeAlias = None | bool | int | float | str | list[Any] | dict[str, Any]
Config: TypeAlias = dict[str, Any]
"""A configuration: a flat dictionary of plain JSON values. Inactive keys are absent."""

Origin: TypeAlias = Literal["baseline", "search", "schedule", "enqueued", "repeat"]
Action: TypeAlias = Literal["continue", "pause", "stop"]
EndState: TypeAlias = Literal["completed", "stopped", "failed"]
CheckpointKind: TypeAlias = Literal["pause", "best", "last"]


@dataclass(frozen=True, kw_only=True, slots=True)
class SpaceDeclared:
    """The sweep's search space, as plain JSON; a higher version amends the ones before."""

    version: int
    space: Mapping[str, JSON]
    time: float
    seq: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class SessionOpened:
    """One call of `fit`: which machine, versions and settings the trials that follow ran under."""

    session: int
    provenance: Mapping[str, JSON]
    time: float
    seq: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class TrialStarted:
    """A trial came to be: one configuration with a number and a seed.

    `group` is the number shared by the repeats of one configuration (the trial's own number where there are
    none), `parent` the trial whose checkpoint it starts from, `source` the number of the enqueued request or
    of the baseline it came from.
    """

    trial: int
    group: int
    config: Config
    seed: int
    space_version: int
    origin: Origin
    time: float
    source: int | None = None
    parent: int | None = None
    seq: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class LegStarted:
    """A trial began to train towards `budget` (a step), from nothing or from the file `checkpoint`."""

    trial: int
    leg: int
    budget: float
    time: float
    checkpoint: str | None = None
    seq: int = 0


class Reported(NamedTuple):
    """A trial reached a step and measured the monitored values there.

    A named tuple, unlike its siblings, because a store opens with a million of them: they are made ten times
    faster. `metrics` is the JSON text of everything that was logged, parsed only when somebody asks.
    """

    trial: int
    leg: int
    step: float
    values: tuple[float, ...]
    time: float
    metrics: str = "{}"
    seq: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Decided:
    """What the scheduler (or a limit, or the user) made of a report, with its reason in words."""

    trial: int
    leg: int
    step: float
    action: Action
    reason: str
    time: float
    seq: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckpointSaved:
    """A checkpoint file is in place under its final name.

    `kind` is "pause" (all that is needed to train on), "last" (the same, of a trial that has ended) or "best"
    (the weights of the best step). `path` is relative to the sweep's folder.
    """

    trial: int
    leg: int
    step: float
    kind: CheckpointKind
    path: str
    size: int
    sha256: str
    time: float
    seq: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckpointDeleted:
    """A checkpoint is no longer wanted (recorded before the file is removed)."""

    trial: int
    path: str
    time: float
    seq: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class TrialPaused:
    """A trial stopped training at `step` and can be resumed from its newest checkpoint."""

    trial: int
    leg: int
    step: float
    reason: str
    time: float
    seq: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class TrialEnded:
    """A trial will not train on (unless a larger budget is given later).

    `step` is the last step it trained to, `error` the traceback of a failed one, `cause` its kind in one word
    ("exception", "diverged", "out_of_memory", "" otherwise).
    """

    trial: int
    leg: int
    step: float
    state: EndState
    reason: str
    time: float
    cause: str = ""
    error: str = ""
    seq: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class ConfigEnqueued:
    """A user (perhaps from another process) put a configuration next in line.

    `number` counts the requests.
    """

    number: int
    config: Config
    time: float
    seq: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class StopRequested:
    """A user (perhaps from another process) asked that a trial be stopped."""

    trial: int
    reason: str
    time: float
    seq: int = 0


Event: TypeAlias = (
    SpaceDeclared
    | SessionOpened
    | TrialStarted
    | LegStarted
    | Reported
    | Decided
    | CheckpointSaved
    | CheckpointDeleted
    | TrialPaused
    | TrialEnded
    | ConfigEnqueued
    | StopRequested
)
EVENT_TYPES: tuple[type[Event], ...] = (
    SpaceDeclared,
    SessionOpened,
    TrialStarted,
    LegStarted,
    Reported,
    Decided,
    CheckpointSaved,
    CheckpointDeleted,
    TrialPaused,
    TrialEnded,
    ConfigEnqueued,
    StopRequested,
)
