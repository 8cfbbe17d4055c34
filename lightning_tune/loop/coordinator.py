"""The one place where a sweep changes: it owns the searcher, the scheduler and the store.

Executors call `next_jobs`; the work they run calls `report`, `poll`, `saved`, `keeps` and `finish`.
Everything that happens is appended to the store as an event, folded into the history, and shown to the
listeners, in that order.
"""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from lightning_tune.core.decision import CONTINUE, Decision, Done, Wait
from lightning_tune.core.events import CheckpointKind, Reported
from lightning_tune.core.history import History
from lightning_tune.core.jsontext import metrics_to_text
from lightning_tune.core.outcome import Outcome
from lightning_tune.execute.base import CheckpointRef, LegEnd, Task
from lightning_tune.loop.dispatcher import Dispatcher, outcome_of
from lightning_tune.loop.failures import FailurePolicy
from lightning_tune.loop.journal import Journal
from lightning_tune.loop.keeping import Keeper
from lightning_tune.loop.limits import Limits
from lightning_tune.schedule.base import Scheduler


@dataclass(kw_only=True)
class Coordinator:
    """Runs one sweep for any number of executors, from one thread at a time.

    Attributes:
        journal: the sweep's events: store, history, listeners.
        keeper: its checkpoints.
        dispatcher: what to do next.
        schedule: what becomes of a trial that reports.
        limits, failures: what ends the sweep.
        clock: seconds since the epoch; replaced in tests.
    """

    journal: Journal
    keeper: Keeper
    dispatcher: Dispatcher
    schedule: Scheduler
    limits: Limits
    failures: FailurePolicy
    clock: Callable[[], float] = time.time
    _interrupt: str | None = None

    @property
    def history(self) -> History:
        """All trials so far."""
        return self.journal.history

    def __post_init__(self) -> None:
        self._opened = self.clock()

    # -- what executors call

    def next_jobs(self, count: int) -> Sequence[Task] | Wait | Done:
        """Return up to `count` tasks.

        Legs that were cut short, missing repeats, then what the scheduler wants.
        """
        if self._interrupt is not None:
            return Done(reason=self._interrupt)
        self.journal.sync()
        elapsed = self.clock() - self._opened
        if self.limits.out_of_time(elapsed):
            return Done(reason=self.limits.over(self.history, elapsed) or "out of time")
        return self.dispatcher.tasks(count, elapsed)

    def report(
        self, trial: int, leg: int, step: float, values: Sequence[float], metrics: Mapping[str, float]
    ) -> Decision:
        """Record a report with the decision on it, in one transaction.

        A step that is known gets its old decision.
        """
        history = self.history
        if history.reported(trial, leg, step):
            known = history.decision(trial, leg, step)
            return CONTINUE if known is None else Decision(action=known.action, reason=known.reason)
        report = Reported(trial, leg, step, tuple(values), self.clock(), metrics_to_text(metrics))
        return self.journal.report(report, self._judge)

    def poll(self, trial: int) -> Decision:
        """Return what becomes of a trial at the end of an epoch, whether it reported or not."""
        if self._interrupt is not None:
            return Decision(action="pause", reason=self._interrupt)
        if self.limits.out_of_time(self.clock() - self._opened):
            return Decision(action="pause", reason="max_time is over")
        return CONTINUE

    def interrupt(self, reason: str) -> None:
        """Ask every running trial to pause at the end of its epoch, and hand out no more."""
        self._interrupt = reason

    @property
    def interrupted(self) -> bool:
        """Whether the sweep was interrupted."""
        return self._interrupt is not None

    def saved(self, trial: int, leg: int, step: float, kind: CheckpointKind, file: CheckpointRef) -> None:
        """Record a checkpoint that is in place, then delete the one it replaces."""
        self.keeper.saved(trial, leg, step, kind, file)

    def keeps(self, trial: int) -> bool:
        """Return whether a trial is now among the best `keep_checkpoints` of the sweep."""
        return self.keeper.keeps(trial)

    def finish(self, end: LegEnd) -> Outcome:
        """Record how a leg ended.

        Raises:
            SweepFailedError: too many trials have raised.
            MonitorError: the monitor was never logged, in a sweep that has no report at all.
        """
        self.dispatcher.handed_out.discard(end.trial)
        trial = self.history.trials[end.trial]
        if end.kind == "paused":
            self.dispatcher.pause(trial, end.step, end.reason)
        elif end.kind != "interrupted":
            self.dispatcher.end(trial, end)
            self.failures.check(end, self.history)
        return outcome_of(trial)

    def _judge(self, report: Reported) -> Decision:
        trial = self.history.trials[report.trial]
        if not all(map(math.isfinite, report.values)):
            return Decision(action="stop", reason=f"diverged: {self._named(report.values)}")
        if trial.stop_request is not None:
            return Decision(action="stop", reason=trial.stop_request)
        if self.limits.meets_target(self.history, self.history.group(trial.group).cost):
            value = self.history.objective.value(self.history.group(trial.group).cost)
            return Decision(action="stop", reason=f"target {self.limits.target:g} reached: {value:g}")
        return self.schedule.judge(report, self.history)

    def _named(self, values: Sequence[float]) -> str:
        return ", ".join(
            f"{name} is {value}" for name, value in zip(self.history.objective.monitor, values, strict=True)
        )
