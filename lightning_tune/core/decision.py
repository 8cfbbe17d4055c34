"""What schedulers and searchers answer: jobs to do next, and what becomes of a trial that reported."""

from dataclasses import dataclass
from typing import TypeAlias

from lightning_tune.core.events import Action, Config, Decided, Reported


@dataclass(frozen=True, kw_only=True, slots=True)
class Start:
    """Start a new trial and train it to `budget` (a step).

    The searcher fills `config` unless the scheduler brings one; `parent` is a trial whose checkpoint it
    starts from.
    """

    budget: float
    config: Config | None = None
    parent: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Resume:
    """Train a group that has paused (or ended below this budget) on to `budget` (a step), and why."""

    group: int
    budget: float
    reason: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Stop:
    """End a group that is paused."""

    group: int
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Wait:
    """Nothing can be done until a running trial reports."""

    reason: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Done:
    """Nothing is left to do: the sweep has ended."""

    reason: str


Job: TypeAlias = Start | Resume | Stop | Wait | Done


@dataclass(frozen=True, kw_only=True, slots=True)
class Decision:
    """What becomes of a trial after a report, and why, in words.

    A pause takes effect at the end of the epoch; a stop as well (Lightning counts an epoch that is cut short
    as done).
    """

    action: Action
    reason: str = ""


CONTINUE = Decision(action="continue")


def decided(report: Reported, decision: Decision) -> Decided:
    """Return the event that records what was decided on a report."""
    return Decided(
        trial=report.trial,
        leg=report.leg,
        step=report.step,
        action=decision.action,
        reason=decision.reason,
        time=report.time,
    )
