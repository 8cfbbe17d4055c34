"""The coordinator of an audit: hands out trials that were stopped, lets them train on, and judges them."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from lightning_tune.core.budget import Budget
from lightning_tune.core.decision import CONTINUE, Decision, Done
from lightning_tune.core.events import CheckpointKind
from lightning_tune.core.history import History
from lightning_tune.core.outcome import Outcome
from lightning_tune.core.trial import State, Trial
from lightning_tune.execute.base import Assignment, CheckpointRef, LegEnd
from lightning_tune.loop.audit import AuditRow, row_verdict
from lightning_tune.track.plaintext import number
from lightning_tune.track.screen import Screen


@dataclass(kw_only=True)
class Auditor:
    """The coordinator of an audit: every trial trains to the end, and nothing of it is kept.

    Attributes:
        history: the sweep's trials.
        budget: what they spend.
        full: the whole of it.
        min_delta: by how much the target must be beaten.
        last: whether a trial is judged by its last value; else by its best.
        left: the stops that wait to be judged.
        screen: where progress is shown.
        rows: those that are, by trial.
        interrupted: why no more are handed out, if that is so.
    """

    history: History
    budget: Budget
    full: float
    min_delta: float
    last: bool
    left: Sequence[AuditRow]
    screen: Screen
    rows: dict[int, AuditRow] = field(default_factory=dict)
    interrupted: str | None = None

    def __post_init__(self) -> None:
        self._stops = {row.trial: row for row in self.left}
        self._costs: dict[int, float] = {}

    def interrupt(self, reason: str) -> None:
        """End the running trial at the end of its epoch, unjudged, and hand out no more."""
        self.interrupted = reason

    def next_jobs(self, count: int) -> Sequence[Assignment] | Done:
        """Return the next trials, from the beginning to the full budget."""
        if self.interrupted is not None or not self.left:
            return Done(reason=self.interrupted or "every trial that was drawn is judged")
        rows, self.left = self.left[:count], self.left[count:]
        return [self._assignment(self.history.trials[row.trial]) for row in rows]

    def _assignment(self, trial: Trial) -> Assignment:
        return Assignment(
            trial=trial.number,
            group=trial.group,
            leg=0,
            config=dict(trial.config),
            seed=trial.seed,
            budget=self.full,
            full_budget=self.full,
        )

    def report(
        self, trial: int, leg: int, step: float, values: Sequence[float], metrics: Mapping[str, float]
    ) -> Decision:
        """Remember the value, and let the trial go on unless it diverged."""
        cost = self.history.objective.cost(tuple(values))
        self._costs[trial] = cost if self.last else min(cost, self._costs.get(trial, math.inf))
        if all(map(math.isfinite, values)):
            return CONTINUE
        return Decision(action="stop", reason=f"diverged: {', '.join(map(str, values))}")

    def poll(self, trial: int) -> Decision:
        """Let it go on unless the audit was interrupted."""
        return CONTINUE if self.interrupted is None else Decision(action="pause", reason=self.interrupted)

    def saved(self, trial: int, leg: int, step: float, kind: CheckpointKind, file: CheckpointRef) -> None:
        """Record nothing: the file goes with the audit's folder."""

    def keeps(self, trial: int) -> bool:
        """Keep no checkpoint."""
        return False

    def finish(self, end: LegEnd) -> Outcome:
        """Judge a trial that came to its end."""
        if end.kind not in ("paused", "interrupted"):
            row = self.rows[end.trial] = self._judged(self._stops[end.trial], end)
            verdict = row_verdict(row, "wrong", "right") + (f": {row.error}" if row.error else "")
            self.screen.note(
                f"[{len(self.rows)}/{len(self._stops)}] trial {row.trial}, stopped at "
                f"{self.budget.amount(row.step)} | at the end {number(row.value)} | to beat "
                f"{number(row.target)} | {verdict}"
            )
        state: State = "completed" if end.kind == "completed" else "failed"
        return Outcome(state=state, score=None, step=end.step, best_step=None, reason=end.reason)

    def _judged(self, row: AuditRow, end: LegEnd) -> AuditRow:
        if end.kind == "diverged":
            return replace(row, wrong=False, error=end.reason)
        if end.kind != "completed" or end.early:
            return replace(row, error=end.reason, early=end.early)
        objective, cost = self.history.objective, self._costs[row.trial]
        target = math.inf if row.target is None else objective.threshold(row.target)
        return replace(row, value=objective.value(cost), wrong=cost < target - self.min_delta)
