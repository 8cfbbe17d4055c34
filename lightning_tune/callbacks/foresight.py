"""The curve of one run and the checks on it: takes values in, gives decisions out, and never sees a Trainer.

What it holds is what a checkpoint has to remember. Every check is a pure function of that, of the prediction
and of what others had reported by then, so that it can be taken inside the store's transaction, and again
after a restart.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from lightning_tune.callbacks.checks import Checks
from lightning_tune.callbacks.outlook import Arrival, Outlook, View
from lightning_tune.callbacks.shared_run import SharedRun, best_of_others
from lightning_tune.core.decision import CONTINUE, Decision
from lightning_tune.core.events import JSON, Reported
from lightning_tune.core.history import History


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """What became of the newest value, as plain values that every rank can be told.

    Attributes:
        decision: whether the run stops, and why.
        failures: how many checks in a row have found it hopeless now.
        outlook: what it has to expect; None where nothing was predicted.
    """

    decision: Decision
    failures: int
    outlook: Outlook | None = None


class Foresight:
    """What is known of one run, and what to make of it.

    Args:
        checks: when and how it is checked.
        end: the last epoch, whose value is predicted; infinite before it is known.

    Attributes:
        curve: the values so far, by epoch from 1.
    """

    def __init__(self, checks: Checks, end: float = math.inf) -> None:
        self.checks = checks
        self.end = end
        self.curve: dict[int, float] = {}
        self.failures = 0
        self._judged = 0
        self._view: View | Arrival | None = None
        self._may_stop = False

    @property
    def newest(self) -> int:
        """The newest epoch that has a value; 0 without one."""
        return max(self.curve, default=0)

    @property
    def fresh(self) -> bool:
        """Whether there is a value that was not judged yet."""
        return self.newest > self._judged

    def describe(self) -> dict[str, JSON]:
        """Return the name alone: runs may differ in all settings, their values are compared."""
        return {"name": "CurveExtrapolationStopping"}

    def weigh(self, may_stop: bool, run: SharedRun | None, metrics: Mapping[str, float]) -> Verdict:
        """Return what becomes of the newest value, and report it if it is one of a shared sweep's.

        The decision is taken inside the store's transaction then; a value that was recorded before a restart
        has its decision again.

        Args:
            may_stop: whether the run may be stopped now.
            run: the run in its sweep; None without a sweep.
            metrics: all that was logged with the value.
        """
        epoch, value = self.newest, self.curve[self.newest]
        self._may_stop, self._view = may_stop, None
        if math.isfinite(value) and epoch % self.checks.check_every == 0 and epoch <= self.end:
            self._view = self.checks.rule.look(self.curve, int(self.end))
        if run is None:
            return self._verdict(None)
        (monitor,) = self.checks.objective.monitor
        decision = run.report(epoch, value, {monitor: value, **metrics})
        return replace(self._verdict(run.best_of_others(epoch)), decision=decision)

    def judge(self, report: Reported, history: History) -> Decision:
        """Decide on the newest value, which has just been reported, against what others had reported."""
        return self._verdict(best_of_others(history, report.trial, history.num_reports - 1)).decision

    def take(self, verdict: Verdict) -> None:
        """Take over what became of the newest value."""
        self.failures, self._judged = verdict.failures, self.newest

    def state(self) -> dict[str, Any]:
        """Return what a restart must know, as plain values."""
        return {
            "curve": [[epoch, value] for epoch, value in sorted(self.curve.items())],
            "failures": self.failures,
            "judged": self._judged,
            "end": self.end,
        }

    def load(self, state: dict[str, Any]) -> bool:
        """Take over a state; return whether its checks hold, which were about the same last epoch."""
        self.curve = {int(epoch): float(value) for epoch, value in state["curve"]}
        self._judged = state["judged"]
        holds = bool(state["end"] == self.end)
        self.failures = state["failures"] if holds else 0
        return holds

    def _verdict(self, others: float | None) -> Verdict:
        """Return what becomes of the run, by the newest value; changes nothing.

        Args:
            others: the best value of the others; None without one.
        """
        epoch, value = self.newest, self.curve[self.newest]
        if not math.isfinite(value) and self._may_stop and self.checks.check_finite:
            reason = f"epoch {epoch}: {self.checks.objective.monitor[0]} is {value:g}"
            return Verdict(decision=Decision(action="stop", reason=reason), failures=self.failures)
        if self._view is None:
            return Verdict(decision=CONTINUE, failures=self.failures)
        outlook = self._view.against(*self._rival(others))
        if not self._due():
            return Verdict(decision=CONTINUE, failures=self.failures, outlook=outlook)
        failures = self.failures + 1 if outlook.hopeless else 0
        patience, reason = self.checks.patience, outlook.reason
        if failures and patience > 1:
            reason += f", {failures} of {patience} times in a row"
        decision = Decision(action="stop" if failures >= patience else "continue", reason=reason)
        return Verdict(decision=decision, failures=failures, outlook=outlook)

    def _due(self) -> bool:
        """Whether this is a check; else the newest value is looked at and no more."""
        reports = sum(map(math.isfinite, self.curve.values()))
        return self._may_stop and self.newest < self.end and reports >= self.checks.min_epochs

    def _rival(self, others: float | None) -> tuple[float | None, str]:
        """Return what is to be beaten, and what it is in words."""
        if self.checks.target is not None:
            return self.checks.target, ""
        if self.checks.shared:
            return others, "the others' best of "
        cost = min(self.checks.objective.cost((value,)) for value in self.curve.values())
        return self.checks.objective.value(cost), "its own best of "
