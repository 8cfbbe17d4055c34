"""What a Trainer's hook may take for a measurement of this very moment, and when the monitor is read.

`trainer.callback_metrics` holds what was logged at any time, the loss of the last batch too. What was
measured now is in the results of the loop that has just ended: private names of Lightning's, under contract
tests.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, TypeAlias

import torch

from lightning_tune.callbacks.ranks import on_rank_zero

Source: TypeAlias = Literal["validation", "train_epoch", "next_epoch"]
"""Where a monitor is read: after a validation, at an epoch's end, or when the next epoch begins.

The last is for a metric that the module logs in its own `on_train_epoch_end`, after all plain callbacks.
"""
_OURS = ("tune/rung", "tune/predicted_final", "tune/p_beats_best")


class Watch:
    """Finds out where each monitor is measured first; that is where it is read from then on.

    With several, all are read at the latest of these moments of an epoch, once a validation was there that
    measured any of those that validation measures. One that training logs may be as old as it likes: the
    size of a model, logged once.

    Args:
        monitors: their names.

    Attributes:
        sources: where each is measured, as far as known; what a checkpoint has to remember.
        validated: whether there was a validation.
    """

    def __init__(self, monitors: Sequence[str]) -> None:
        self.monitors = tuple(monitors)
        self.sources: dict[str, Source] = {}
        self.validated = False
        self._fresh: dict[str, float] = {}

    @property
    def found(self) -> bool:
        """Whether all monitors were measured."""
        return all(name in self.sources for name in self.monitors)

    def had_its_chance(self, trainer: Any) -> bool:
        """Whether a monitor that is not known after a whole epoch has no validation to wait for."""
        return self.validated or not validates(trainer)

    def read(self, trainer: Any, source: Source) -> dict[str, float] | None:
        """Return all logged numbers if the monitors are to be reported at this moment, else None.

        All ranks must come here: reading a metric may reduce it over them. Rank 0 knows what was measured.
        """
        self.validated = self.validated or source == "validation"
        if all(self.sources.get(name, source) != source for name in self.monitors):
            return None
        logged, own = numbers(trainer.callback_metrics), measured(trainer, source)
        here = on_rank_zero(trainer, lambda: [name for name in self.monitors if name in own])
        news = self._note(here, own, source)
        values = {**logged, **own, **self._fresh} if self._due(source, news) else None
        if values is not None or source != "validation":
            self._fresh = {}
        return values

    def _note(self, here: Sequence[str], own: Mapping[str, float], source: Source) -> bool:
        """Keep what was measured here and is read here; return whether that makes the monitors complete."""
        before = self.found
        for name in here:
            if self.sources.setdefault(name, source) == source:
                self._fresh[name] = own.get(name, math.nan)
        return self.found and not before

    def _due(self, source: Source, news: bool) -> bool:
        """Whether this is the latest of the monitors' moments, and there is something new to report."""
        if not self.found or (source == "validation" and set(self.sources.values()) != {source}):
            return False
        validated = [name for name in self.monitors if self.sources[name] == "validation"]
        return news or any(name in self._fresh for name in validated or self.monitors)


def measured(trainer: Any, source: Source) -> dict[str, float]:
    """Return what was measured at this moment, for whole epochs, under all names that it goes by.

    Of all validation loaders, which `results.metrics` would not give once they are over.
    """
    if source == "next_epoch":
        logged, of_steps = numbers(trainer.callback_metrics), steps_only(trainer)
        return {name: value for name, value in logged.items() if name not in of_steps}
    results, found = trainer._results, {}
    for item in results.values():
        if item.meta.on_epoch and not item.has_reset:
            value = results._get_cache(item, on_step=False)
            found.update(dict.fromkeys(results._forked_name(item, on_step=False), value))
    return numbers(found)


def numbers(metrics: Mapping[str, Any]) -> dict[str, float]:
    """Return the metrics that are one number, without those that we log ourselves."""
    return {
        name: float(value)
        for name, value in metrics.items()
        if not name.startswith(_OURS) and torch.as_tensor(value).numel() == 1
    }


def steps_only(trainer: Any) -> dict[str, str | None]:
    """Return the names under which only some batch's value is logged, never one of a whole epoch.

    Each with the name of the same metric for whole epochs, if it is logged so too: `loss_step` has `loss`.
    """
    epochs, steps = set(), {}
    for results, item in _logged(trainer):
        name, forked = results._forked_name(item, on_step=True)
        if item.meta.on_epoch:
            epochs.update(results._forked_name(item, on_step=False))
        if item.meta.on_step:
            steps[forked] = name if item.meta.on_epoch else None
    return {name: whole for name, whole in steps.items() if name not in epochs}


def epochs_within(trainer: Any) -> float:
    """Return how many epochs are done at a validation, with a fraction in the middle of one."""
    progress = trainer.fit_loop.epoch_loop.batch_progress
    if progress.is_last_batch:
        return float(trainer.current_epoch + 1)
    done, batches = progress.current.ready, trainer.num_training_batches
    return float(trainer.current_epoch + (done / batches if math.isfinite(batches) else done / (done + 1)))


def validates(trainer: Any) -> bool:
    """Whether a validation is to come, as far as the Trainer knows: before the first it has counted none."""
    batches = trainer.num_val_batches
    return bool(trainer.enable_validation) and (batches == [] or bool(torch.as_tensor(batches).sum()))


def _logged(trainer: Any) -> Iterator[tuple[Any, Any]]:
    """Yield all that was ever logged in this fit, in training and in validation, with where it is kept."""
    loop = trainer.fit_loop.epoch_loop
    for results in (loop._results, loop.val_loop._results):
        yield from ((results, item) for item in results.values())
