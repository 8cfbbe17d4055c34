"""Epochs that were really trained: written down by a callback in the Trainer itself.

Beside it, the number of epochs that a sweep of ours needs by its own record, as plain arithmetic on the
stored events that shares nothing with the schedulers.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import lightning as L

from lightning_tune.core.events import Event, LegStarted, TrialEnded


class Counting(L.Callback):
    """Appends a line to a file at each validation: who trained, how many batches, and the score.

    It comes before any callback that prunes there. The file serves worker processes too.
    """

    def __init__(self, path: Path, monitor: str) -> None:
        self.path, self.monitor = str(path), monitor
        self.batches = 0

    def on_train_batch_end(self, *_: Any, **__: Any) -> None:
        """Count a batch."""
        self.batches += 1

    def on_validation_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        """Write down what was trained since the last validation."""
        if trainer.sanity_checking:
            return
        line = {
            "config": dict(module.hparams),
            "epoch": trainer.current_epoch + 1,
            "share": self.batches / int(trainer.num_training_batches),
            "score": float(trainer.callback_metrics[self.monitor]),
        }
        self.batches = 0
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")


class Epoch(NamedTuple):
    """One epoch that was trained: the trial's number, which of its epochs, how much of it, the score."""

    trial: int
    epoch: int
    share: float
    score: float


@dataclass(frozen=True)
class Trained:
    """The epochs of one sweep, in the order in which they were trained."""

    epochs: Sequence[Epoch]

    @classmethod
    def read(cls, path: Path, planned: Sequence[dict[str, Any]]) -> "Trained":
        """Read what `Counting` wrote.

        Raises:
            KeyError: a configuration was trained that is not among the planned ones.
        """
        numbers = {_key(config): number for number, config in enumerate(planned)}
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        return cls(
            [
                Epoch(numbers[_key(line["config"])], line["epoch"], line["share"], line["score"])
                for line in lines
            ]
        )

    @property
    def total(self) -> float:
        """How many epochs were trained."""
        return sum(epoch.share for epoch in self.epochs)

    @property
    def by_trial(self) -> dict[int, float]:
        """How many epochs each trial was trained."""
        totals: dict[int, float] = {}
        for epoch in self.epochs:
            totals[epoch.trial] = totals.get(epoch.trial, 0.0) + epoch.share
        return totals

    @property
    def twice(self) -> int:
        """How many epochs of a trial were trained more than once."""
        return len(self.epochs) - len(self.scores)

    @property
    def scores(self) -> dict[tuple[int, int], float]:
        """The score of each epoch of each trial."""
        return {(epoch.trial, epoch.epoch): epoch.score for epoch in self.epochs}

    def best(self, epochs: float = float("inf")) -> float:
        """Return the best (lowest) score after so many trained epochs of the whole sweep."""
        spent, best = 0.0, float("inf")
        for epoch in self.epochs:
            spent += epoch.share
            if spent > epochs + 1e-9:
                break
            best = min(best, epoch.score)
        return best


def epochs_needed(events: Iterable[Event]) -> dict[int, float]:
    """Return the epochs that each trial needs by its record: every leg from where it starts to its budget.

    A leg without a checkpoint starts from nothing, any other where the trial's leg before it ended. A trial
    that ended short of its budget (it diverged, say) needs what it had trained by then.
    """
    reached: dict[int, float] = {}
    needed: dict[int, float] = {}
    for event in events:
        if isinstance(event, LegStarted):
            start = 0.0 if event.checkpoint is None else reached[event.trial]
            reached[event.trial] = event.budget
            needed[event.trial] = needed.get(event.trial, 0.0) + event.budget - start
        elif isinstance(event, TrialEnded) and event.step < reached[event.trial]:
            needed[event.trial] -= reached[event.trial] - event.step
    return needed


def _key(config: dict[str, Any]) -> str:
    return json.dumps(config, sort_keys=True)
