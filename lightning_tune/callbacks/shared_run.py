"""One run of a shared sweep: its trial in the store, its reports, and what the others' reports make of them.

Every process is a coordinator of its own. A decision is taken inside the store's write transaction: fold what
the others have appended, append the report, judge, append the decision. So two that report at the same moment
are judged one after the other, and whoever replays the events in their order comes to the same decisions.

A process that dies without a word (SIGKILL, a power cut) leaves its trial "running", with the reports it had;
they stay in the comparison. Nobody waits for it. Its machine and process are in the sweep's sessions.
"""

import math
import os
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from lightning_tune.core.decision import CONTINUE, Decision, decided
from lightning_tune.core.events import (
    JSON,
    Config,
    EndState,
    Event,
    LegStarted,
    Reported,
    SessionOpened,
    TrialEnded,
    TrialPaused,
    TrialStarted,
)
from lightning_tune.core.history import History
from lightning_tune.core.jsontext import metrics_to_text
from lightning_tune.core.objective import Objective
from lightning_tune.core.trial import Trial
from lightning_tune.errors import SweepBusyError
from lightning_tune.store import Store
from lightning_tune.store.base import Transaction


class Judge(Protocol):
    """Who decides on reports, as a scheduler does: inside the store's transaction, from the history alone."""

    def judge(self, report: Reported, history: History) -> Decision:
        """Return what becomes of a trial that has just reported; the report is in the history already."""
        ...

    def describe(self) -> dict[str, JSON]:
        """Return its name, and the settings in which all runs of a sweep must agree, as plain JSON."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """How a run stands when it begins.

    Attributes:
        trial: its number.
        created: when its sweep was made, which tells one sweep from another of the same name.
        resumed: whether it goes on with a trial that was there.
        stopped: why it was stopped before, if it was.
    """

    trial: int
    created: float
    resumed: bool = False
    stopped: str | None = None


class SharedRun:
    """One run, as the process that trains it sees it.

    Args:
        store: where the sweep is; this closes it in the end.
        sweep: its name, in the store already.
        created: when it was made.
        objective: what is monitored.
        judge: who is stopped.
    """

    def __init__(self, store: Store, sweep: str, created: float, objective: Objective, judge: Judge) -> None:
        self.store = store
        self.sweep = sweep
        self.created = created
        self.judge = judge
        self.history = History(objective)
        self.history.extend(store.read(sweep))
        self.number = -1
        self.leg = -1
        self.over = True

    # -- beginning

    def start(self, config: Config, seed: int, budget: float, checkpoint: str | None = None) -> Entry:
        """Register the run as a new trial that trains to `budget` epochs."""
        with self.store.transaction(self.sweep, durable=True) as transaction:
            self._fold(transaction)
            self.number = len(self.history)
            started = TrialStarted(
                trial=self.number,
                group=self.number,
                config=config,
                seed=seed,
                space_version=0,
                origin="enqueued",
                time=time.time(),
            )
            self._begin_leg(transaction, budget, checkpoint, [started])
        return Entry(trial=self.number, created=self.created)

    def resume(self, number: int, budget: float, checkpoint: str | None = None) -> Entry:
        """Go on with a trial of this sweep; one that was stopped stays so."""
        with self.store.transaction(self.sweep, durable=True) as transaction:
            self._fold(transaction)
            self.number = number
            stopped = self._stop_of(self._trial)
            if stopped is None:
                self._begin_leg(transaction, budget, checkpoint, [])
            elif self._trial.state != "stopped":  # the process died between the decision and the epoch's end
                self.leg = self._trial.leg
                transaction.append([self._ended("stopped", self._trial.step, stopped)])
        return Entry(trial=number, created=self.created, resumed=True, stopped=stopped)

    def _begin_leg(
        self, transaction: Transaction, budget: float, checkpoint: str | None, before: list[Event]
    ) -> None:
        trials = self.history.trials
        self.leg = trials[self.number].leg + 1 if self.number < len(trials) else 0
        opened = SessionOpened(
            session=len(self.history.sessions),
            provenance={"trial": self.number, "host": socket.gethostname(), "process": os.getpid()},
            time=time.time(),
        )
        leg = LegStarted(
            trial=self.number, leg=self.leg, budget=budget, time=time.time(), checkpoint=checkpoint
        )
        self.history.extend(transaction.append([opened, *before, leg]))
        self.over = False

    # -- while it trains

    def report(self, step: float, value: float, metrics: Mapping[str, float]) -> Decision:
        """Record a report and decide on it; a step that is known has its recorded decision.

        Raises:
            SweepBusyError: another process goes on with this trial.
            StoreError: the store cannot be written; nothing was decided.
        """
        with self.store.transaction(self.sweep) as transaction:
            self._fold(transaction)
            self._check_own()
            known = self._known(step)
            if known is not None:
                return known
            report = Reported(
                self.number, self.leg, step, (value,), time.time(), metrics=metrics_to_text(metrics)
            )
            (reported,) = transaction.append([report])
            assert isinstance(reported, Reported)
            self.history.extend([reported])
            decision = self._judge(reported)
            if decision.reason:
                self.history.extend(transaction.append([decided(reported, decision)]))
        return decision

    def _judge(self, report: Reported) -> Decision:
        if self._trial.stop_request is not None:
            return Decision(action="stop", reason=self._trial.stop_request)
        return self.judge.judge(report, self.history)

    def _known(self, step: float) -> Decision | None:
        """Return what was decided on a step that a fit before this one has reported; None if none has."""
        if not self.history.reported(self.number, self.leg, step):
            return None
        leg = next(report.leg for report in self._trial.reports if report.step == step)
        decided = self.history.decision(self.number, leg, step)
        return CONTINUE if decided is None else Decision(action=decided.action, reason=decided.reason)

    def best_of_others(self, step: float) -> float | None:
        """Return the best value that other trials had reported before this one reported a step."""
        row = next(row for row in self._trial.rows if self.history.report(row).step == step)
        return best_of_others(self.history, self.number, row)

    # -- ending

    def end(self, state: EndState, step: float, reason: str, cause: str = "", error: str = "") -> None:
        """Record how the run ended; the first word stands."""
        self._conclude(self._ended(state, step, reason, cause, error))

    def interrupt(self, step: float, reason: str) -> None:
        """Record that the run was interrupted: it may go on from a checkpoint of the user's."""
        self._conclude(
            TrialPaused(trial=self.number, leg=self.leg, step=step, reason=reason, time=time.time())
        )

    def close(self) -> None:
        """Close the store."""
        self.over = True
        self.store.close()

    def _conclude(self, event: Event) -> None:
        if self.over:
            return
        with self.store.transaction(self.sweep, durable=True) as transaction:
            self._fold(transaction)
            self._check_own()
            transaction.append([event])
        self.over = True

    def _ended(
        self, state: EndState, step: float, reason: str, cause: str = "", error: str = ""
    ) -> TrialEnded:
        return TrialEnded(
            trial=self.number,
            leg=self.leg,
            step=step,
            state=state,
            reason=reason,
            cause=cause,
            error=error,
            time=time.time(),
        )

    # -- the fold

    @property
    def _trial(self) -> Trial:
        return self.history.trials[self.number]

    def _fold(self, transaction: Transaction) -> None:
        self.history.extend(transaction.read(self.history.seq))

    def _check_own(self) -> None:
        """Refuse to go on where another process has begun a leg of this trial after ours.

        Raises:
            SweepBusyError: saying so.
        """
        if self._trial.leg != self.leg:
            self.over = True
            raise SweepBusyError(
                f"trial {self.number} of sweep {self.sweep!r} is being trained by another process, which "
                "resumed it after this one. One checkpoint goes on in one process: end the other, or start "
                "this run anew."
            )

    def _stop_of(self, trial: Trial) -> str | None:
        """Return why a trial was stopped, ended or not; None if it was not."""
        if trial.state == "stopped":
            return trial.reason
        judged = [self.history.decision(trial.number, report.leg, report.step) for report in trial.reports]
        stops = [decision.reason for decision in judged if decision is not None and decision.action == "stop"]
        return stops[0] if stops else None


def best_of_others(history: History, number: int, row: int) -> float | None:
    """Return the best finite value that trials other than `number` had reported before a row, if any."""
    costs = (_cost_before(history, trial, row) for trial in history if trial.number != number)
    cost = min(costs, default=math.inf)
    return history.objective.value(cost) if math.isfinite(cost) else None


def _cost_before(history: History, trial: Trial, row: int) -> float:
    """Return a trial's lowest cost in the rows before one; +inf without."""
    if not trial.rows or trial.rows[-1] < row:
        return trial.best_cost
    costs = (history.objective.cost(history.report(own).values) for own in trial.rows if own < row)
    return min(costs, default=math.inf)
