"""A trial that starts from another's checkpoint trains on under its own hyperparameters.

Lightning restores the optimizers and schedulers of the lender, settings included. The settings of this trial
are those that its own optimizers were built with: they are noted before the checkpoint is restored and put
back after. What the lender's training has moved stays moved: a learning rate that a scheduler has halved is
half of this trial's own.
"""

import copy
import inspect
from collections.abc import Iterator
from typing import Any

_COUNTERS = ("optimizer", "last_epoch")
"""Arguments of schedulers that are no settings."""


class OwnSettings:
    """The settings of freshly built optimizers and schedulers, to be laid over restored ones.

    Args:
        trainer: a Trainer whose optimizers are built and not restored.

    Attributes:
        record: of each optimizer its class and, group by group, the learning rate that all others derive
            from: what the borrower of a checkpoint must know.
    """

    def __init__(self, trainer: Any) -> None:
        self._groups = [
            [
                {name: value for name, value in group.items() if name != "params"}
                for group in each.param_groups
            ]
            for each in trainer.optimizers
        ]
        self._schedulers = [_settings(scheduler) for scheduler in _schedulers(trainer)]
        self.record: list[dict[str, Any]] = [
            {"kind": type(optimizer).__qualname__, "bases": [_base(group) for group in groups]}
            for optimizer, groups in zip(trainer.optimizers, self._groups, strict=True)
        ]

    def drop_foreign(self, states: list[dict[str, Any]], lender: list[dict[str, Any]]) -> None:
        """Empty the states of optimizers of another kind, whose moments mean nothing here (nor would load).

        Args:
            states: what is about to be restored into each optimizer; changed in place.
            lender: the `record` of the trial that they come from.
        """
        for state, own, theirs in zip(states, self.record, lender, strict=False):
            if own["kind"] != theirs["kind"]:
                state["state"] = {}

    def lay_over(self, trainer: Any, lender: list[dict[str, Any]]) -> None:
        """Put these settings into the Trainer's optimizers and schedulers, which were restored.

        Args:
            trainer: the Trainer.
            lender: the `record` of the trial that the checkpoint comes from.
        """
        for optimizer, groups, theirs in zip(trainer.optimizers, self._groups, lender, strict=True):
            for group, own, base in zip(optimizer.param_groups, groups, theirs["bases"], strict=True):
                base = float(group.get("initial_lr", base))
                moved = _base(own) * (group["lr"] / base) if base else own["lr"]  # x 1.0 if unmoved
                group.update({**copy.deepcopy(own), "lr": moved})
        for scheduler, settings in zip(_schedulers(trainer), self._schedulers, strict=True):
            vars(scheduler).update(copy.deepcopy(settings))
            if hasattr(scheduler, "_last_lr"):
                scheduler._last_lr = [group["lr"] for group in scheduler.optimizer.param_groups]


def _base(group: dict[str, Any]) -> float:
    """Return the learning rate that a scheduler derives the others from; without one, the only one."""
    return float(group.get("initial_lr", group["lr"]))


def _schedulers(trainer: Any) -> Iterator[Any]:
    """Yield the schedulers, and those that chained ones consist of."""
    waiting = [config.scheduler for config in trainer.lr_scheduler_configs]
    while waiting:
        scheduler = waiting.pop(0)
        yield scheduler
        waiting += list(getattr(scheduler, "_schedulers", ()))


def _settings(scheduler: Any) -> dict[str, Any]:
    """Return what a scheduler was built with, as far as it keeps it under the argument's name."""
    names = set(inspect.signature(type(scheduler).__init__).parameters) - set(_COUNTERS)
    kept = {*names, "base_lrs", "min_lrs"} & vars(scheduler).keys()
    return {name: vars(scheduler)[name] for name in kept if not callable(vars(scheduler)[name])}
