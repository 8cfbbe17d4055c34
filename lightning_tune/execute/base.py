"""The contract between the coordinator, an executor and the work it runs.

An executor asks `next_jobs`, hands each assignment to the work, and the work reports through the channel,
which is the coordinator itself in this process and a proxy of it elsewhere. All of these values are plain and
can be pickled.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

from lightning_tune.core.decision import Decision, Done, Wait
from lightning_tune.core.events import CheckpointKind, Config
from lightning_tune.core.outcome import Outcome


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckpointRef:
    """A checkpoint file to start from: its path in the sweep's folder, and what it must be to be believed."""

    path: str
    step: float
    size: int
    sha256: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Assignment:
    """Train one leg of a trial to `budget`, from nothing or from `checkpoint`.

    `trained` tells whether the trial has run before, so that loggers continue what they began. A trial is
    complete at the end of a `final` leg, and of any that goes as far as `full_budget`; else it pauses.
    `inherited` tells whether the checkpoint is another trial's, whose hyperparameters are replaced by this
    one's.
    """

    trial: int
    group: int
    leg: int
    config: Config
    seed: int
    budget: float
    checkpoint: CheckpointRef | None = None
    trained: bool = False
    final: bool = True
    full_budget: float = math.inf
    inherited: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Retire:
    """Tell a trial's loggers how it ended: it was stopped while it was paused."""

    trial: int
    group: int
    leg: int
    config: Config
    seed: int
    outcome: Outcome


Task: TypeAlias = Assignment | Retire


@dataclass(frozen=True, kw_only=True, slots=True)
class LegEnd:
    """How a leg ended, as the work saw it.

    `kind` is "paused" (a checkpoint is in place), "stopped" (a decision ended it), "completed" (the Trainer
    was done), "diverged", "out_of_memory", "exception" (the user's code raised), "unmonitored" (it trained,
    but the monitor was never logged), or "interrupted" (cut short, nothing saved). `error` is the traceback,
    and `exception` the exception itself where it is at hand. `early` tells whether a callback, or the module,
    ended a leg that is "completed" before its budget and before the Trainer's last epoch.
    """

    trial: int
    leg: int
    step: float
    kind: Literal[
        "paused",
        "stopped",
        "completed",
        "diverged",
        "out_of_memory",
        "exception",
        "unmonitored",
        "interrupted",
    ]
    reason: str
    error: str = ""
    exception: BaseException | None = None
    early: bool = False


class Channel(Protocol):
    """What the work may ask of the coordinator while it runs."""

    def report(
        self, trial: int, leg: int, step: float, values: Sequence[float], metrics: Mapping[str, float]
    ) -> Decision:
        """Record a report and return what becomes of the trial. Durable once it returns; idempotent."""
        ...

    def poll(self, trial: int) -> Decision:
        """Return what becomes of the trial between reports (an interrupt, a limit in seconds)."""
        ...

    def saved(self, trial: int, leg: int, step: float, kind: CheckpointKind, file: CheckpointRef) -> None:
        """Record a checkpoint that is in place; the one of its kind that it replaces is deleted."""
        ...

    def keeps(self, trial: int) -> bool:
        """Return whether the trial is among the best of the sweep, whose checkpoints are kept."""
        ...

    def finish(self, end: LegEnd) -> Outcome:
        """Record how a leg ended and return how the trial stands."""
        ...


class Coordinating(Channel, Protocol):
    """What an executor may ask of the coordinator."""

    def next_jobs(self, count: int) -> Sequence[Task] | Wait | Done:
        """Return up to `count` tasks for free workers."""
        ...


class Work(Protocol):
    """What runs a task; made once a sweep, it must survive cloudpickle to run in other processes."""

    def __call__(self, task: Task, channel: Channel) -> None:
        """Run one task to its end."""
        ...


class Executor(ABC):
    """Where tasks run."""

    @abstractmethod
    def run(self, coordinator: Coordinating, work: Work) -> str:
        """Run tasks until the coordinator is done; return its reason."""
