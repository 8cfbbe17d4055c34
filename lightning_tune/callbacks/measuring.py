"""Where a Trainer of the user's own logs the monitor, and at which step it stands then.

`trainer.callback_metrics` holds what was logged at any time, the loss of the last batch too. What a hook may
take for a measurement of this very moment is in the results of the loop that has just ended.
"""

import difflib
import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias

import torch

from lightning_tune.errors import ArgumentError, MonitorError

Source: TypeAlias = Literal["validation", "train_epoch", "next_epoch"]
"""Where a monitor is read: after a validation, at an epoch's end, or when the next epoch begins.

The last is for a metric that the module logs in its own `on_train_epoch_end`, after all callbacks.
"""
_OURS = "tune/"


class Watch:
    """Finds out where the monitor is measured; that is where it is read from then on.

    Args:
        monitor: its name.

    Attributes:
        source: where it is measured, once known.
    """

    def __init__(self, monitor: str) -> None:
        self.monitor = monitor
        self.source: Source | None = None
        self._validated = False

    def may_read(self, source: Source) -> bool:
        """Whether the monitor may be measured at such a moment; the same on all ranks."""
        self._validated = self._validated or source == "validation"
        return self.source in (None, source)

    def expect(self, trainer: Any, rungs: Sequence[float], last: float) -> None:
        """Raise once a whole epoch with its validation has gone by without the monitor.

        Args:
            trainer: the Trainer.
            rungs: where runs are compared, in epochs.
            last: the last epoch.

        Raises:
            MonitorError: naming the metrics that are logged, and the nearest.
            ArgumentError: the validation that might bring it comes too late for any rung.
        """
        if self.source is not None:
            return
        if self._validated or not validates(trainer):
            raise never_logged(trainer, self.monitor)
        check_validations(trainer, self.monitor, rungs, last)


def measured(trainer: Any, monitor: str, source: Source) -> dict[str, float] | None:
    """Return all logged numbers if the monitor was measured at this moment, else None.

    All ranks must come here: reading a metric may reduce it over them.
    """
    logged = numbers(trainer.callback_metrics)
    if source == "next_epoch":
        return logged if monitor in logged and monitor not in _of_steps(trainer) else None
    results = trainer._results
    own = {} if results is None else numbers(results.metrics(on_step=False)["callback"])
    return {**logged, **own} if monitor in own else None


def numbers(metrics: Mapping[str, Any]) -> dict[str, float]:
    """Return the metrics that are one number, without those that we log ourselves."""
    return {
        name: float(value)
        for name, value in metrics.items()
        if not name.startswith(_OURS) and torch.as_tensor(value).numel() == 1
    }


def epochs_within(trainer: Any) -> float:
    """Return how many epochs are done at a validation, with a fraction in the middle of one."""
    progress = trainer.fit_loop.epoch_loop.batch_progress
    if progress.is_last_batch:
        return float(trainer.current_epoch + 1)
    done, batches = progress.current.ready, trainer.num_training_batches
    return float(trainer.current_epoch + (done / batches if math.isfinite(batches) else done / (done + 1)))


def validates(trainer: Any) -> bool:
    """Whether a validation is to come, as far as the Trainer knows."""
    batches = trainer.num_val_batches
    return bool(trainer.enable_validation) and (batches == [] or bool(torch.as_tensor(batches).sum()))


def never_logged(trainer: Any, monitor: str) -> MonitorError:
    """Return the error for a monitor that had its chance: what is logged, and what may be meant."""
    logged = sorted(numbers(trainer.callback_metrics).keys() - _of_steps(trainer))
    start = f"`monitor={monitor!r}` was never logged."
    if monitor in _of_steps(trainer):
        start = (
            f"`monitor={monitor!r}` is logged on every step only, which says nothing of the whole epoch: use "
            "`self.log(..., on_epoch=True)`."
        )
    there = (
        f" Logged are: {', '.join(logged)}." if logged else " The module logs nothing else: use `self.log`."
    )
    nearest = difflib.get_close_matches(monitor, logged, 1)
    return MonitorError(start + there + (f" Did you mean {nearest[0]!r}?" if nearest else ""))


def check_validations(trainer: Any, monitor: str, rungs: Sequence[float], last: float) -> None:
    """Refuse validations that come so rarely that none falls between the first rung and the last epoch.

    Raises:
        ArgumentError: saying when they come.
    """
    every = trainer.check_val_every_n_epoch
    if every is None or not rungs:
        return
    first = every * math.ceil(rungs[0] / every)
    if first >= last:
        raise ArgumentError(
            f"`check_val_every_n_epoch={every}` never meets a rung: `{monitor}` is not logged in training, "
            f"and the first validation at or past epoch {rungs[0]:g} comes after epoch {first:g}, when "
            f"training is over ({last:g}): no run would ever be stopped. Validate more often."
        )


def _of_steps(trainer: Any) -> set[str]:
    """Return the names under which a value of the last batch alone is known."""
    names = set()
    for item in trainer.fit_loop.epoch_loop._results.values():
        if item.meta.on_step:
            names.add(f"{item.meta.name}_step" if item.meta.on_epoch else item.meta.name)
    return names


def ended_by(trainer: Any, epochs: float) -> str:
    """Return who ended training after so many epochs: a callback that says so as EarlyStopping does."""
    for callback in trainer.callbacks:
        if getattr(callback, "stopped_epoch", 0) == epochs - 1 > 0:
            return type(callback).__name__
    return "its Trainer"
