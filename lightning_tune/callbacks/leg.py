"""What the two callbacks of one `Trainer.fit` share: the leg they serve, and what is to become of it."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from lightning_tune.callbacks.progress import Progress
from lightning_tune.core.budget import EPOCHS, Budget
from lightning_tune.core.decision import Decision
from lightning_tune.core.events import CheckpointKind
from lightning_tune.core.objective import Objective
from lightning_tune.execute.base import Channel, CheckpointRef

Ending = Literal["save", "pause", "complete", "stop"]
Answer = TypeVar("Answer")
_RANK: Mapping[Ending, int] = {"save": 0, "pause": 1, "complete": 2, "stop": 3}


@dataclass(kw_only=True)
class Leg:
    """One leg of a trial in training.

    Attributes:
        trial, leg: its numbers.
        budget: the step to train to.
        measure: what the budget is, and how it is counted.
        final: whether the trial is complete at the budget; else it pauses there.
        full_budget: where it is complete in any case (an epoch may go past several rungs).
        objective: what is monitored.
        channel: the coordinator.
        resumed: whether it begins from a checkpoint.
        inherited: whether that checkpoint is another trial's, whose hyperparameters are replaced by this
            one's.
        save_due: returns whether a periodic save is due.
        accepts: returns whether a state (made when it is asked for) can be saved and loaded again.
        write: writes a checkpoint's dictionary, `(kind, step, state) -> file` (None where it cannot be
            saved).
        close_epoch: called when an epoch is over for everybody else; the pausing callback's.
        ending: why training is being stopped: for a periodic save, a pause, the end of the budget, or a stop;
            None while it goes on.
        reason: the same in words.
        diverged: whether a report was NaN or infinite.
        step: the last step trained to, in the budget's unit.
        progress: counts it.
        scored: the weights that were validated, where they are not the module's own afterwards.
        saved: the checkpoint that this fit ended with.
        whole: whether the user's callbacks that stop runs are left out.
        ended_by: the callback that ended training early, if it was one of the user's.
        ended_why: its reason, in words, if it has one.
        fault: an error of the coordinator (a full disk, say), which ends the sweep and not only the trial.
    """

    trial: int
    leg: int
    budget: float
    objective: Objective
    channel: Channel
    resumed: bool
    save_due: Callable[[], bool]
    accepts: Callable[[Callable[[], dict[str, Any]]], bool]
    write: Callable[[CheckpointKind, float, dict[str, Any]], CheckpointRef | None]
    measure: Budget = EPOCHS
    final: bool = True
    full_budget: float = math.inf
    inherited: bool = False
    close_epoch: Callable[[Any, Any], None] = lambda trainer, module: None
    ending: Ending | None = None
    reason: str = ""
    diverged: bool = False
    step: float = 0.0
    scored: dict[str, Any] | None = None
    saved: CheckpointRef | None = None
    whole: bool = False
    ended_by: str = ""
    ended_why: str = ""
    fault: BaseException | None = None
    progress: Progress = field(init=False)

    def __post_init__(self) -> None:
        self.progress = Progress(self.measure, self.budget)

    @property
    def at_budget(self) -> bool:
        """Whether the leg ends because it has reached its budget."""
        return self.ending in ("pause", "complete") and self.step >= self.budget

    def report(self, step: float, values: Sequence[float], metrics: Mapping[str, float]) -> None:
        """Report to the coordinator and take its decision."""
        self.step = max(self.step, step)
        decision = self._ask(lambda: self.channel.report(self.trial, self.leg, step, values, metrics))
        self.diverged = self.diverged or not all(map(math.isfinite, values))
        self.take(decision)

    def poll(self) -> None:
        """Ask the coordinator whether to go on, between reports."""
        self.take(self._ask(lambda: self.channel.poll(self.trial)))

    def keeps(self) -> bool:
        """Return whether the coordinator keeps this trial's checkpoints."""
        return self._ask(lambda: self.channel.keeps(self.trial))

    def save(self, kind: CheckpointKind, state: dict[str, Any]) -> None:
        """Write a checkpoint of this moment; a disk that cannot take it ends the sweep, not the trial."""
        self.saved = self._ask(lambda: self.write(kind, self.step, state))

    def take(self, decision: Decision) -> None:
        """Take over a decision; a stop outweighs a pause."""
        if decision.action != "continue":
            self.end(decision.action, decision.reason)

    def end(self, ending: Ending, reason: str) -> None:
        """Ask for an end of this fit, unless a weightier one was asked for already."""
        if self.ending is None or _RANK[ending] > _RANK[self.ending]:
            self.ending, self.reason = ending, reason

    def _ask(self, question: Callable[[], Answer]) -> Answer:
        try:
            return question()
        except BaseException as error:
            self.fault = error
            raise
