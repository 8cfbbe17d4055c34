"""When and how a run is checked by its learning curve: settings, and what they may be."""

import math
from dataclasses import dataclass
from typing import Any

from lightning_tune.callbacks.outlook import Rule
from lightning_tune.core.checks import whole, whole_or_none
from lightning_tune.core.objective import Objective
from lightning_tune.curves.bounds import limits
from lightning_tune.errors import ArgumentError
from lightning_tune.schedule.settings import is_number


@dataclass(frozen=True, kw_only=True, slots=True)
class Checks:
    """When and how a run is checked.

    Attributes:
        objective: what is monitored.
        rule: when it is hopeless.
        max_epochs: the epoch whose value is predicted; None is the Trainer's last.
        target: the value to beat; None is the best of others, or its own.
        shared: whether there are others.
        min_epochs: how many reports there must be.
        check_every: only epochs that this divides are looked at.
        patience: so many checks in a row must find it hopeless.
        check_finite: whether a value that is not finite ends it.

    Raises:
        ArgumentError: a value that it cannot have.
    """

    objective: Objective
    rule: Rule
    max_epochs: int | None = None
    target: float | None = None
    shared: bool = False
    min_epochs: int = 4
    check_every: int = 1
    patience: int = 1
    check_finite: bool = True

    def __post_init__(self) -> None:
        for name in ("min_epochs", "check_every", "patience"):
            whole(name, getattr(self, name), 1)
        last = whole_or_none("max_epochs", self.max_epochs, 1)
        if last is not None and self.min_epochs > last:
            raise ArgumentError(
                f"`min_epochs` must be at most `max_epochs`: got {self.min_epochs} and {last}."
            )
        _check_target(self.target, self.rule)

    @property
    def first(self) -> int:
        """The epoch of the first check of a run that reports every epoch."""
        return self.check_every * math.ceil(self.min_epochs / self.check_every)

    def too_late(self, end: float) -> str:
        """Return in words that the first check comes when a run is over."""
        return (
            f"looks at a run after {self.first} epochs first, and this one is over after {end:g}: it is "
            "never stopped. Lower `min_epochs` or `check_every`, or train longer."
        )

    def end_for(self, trainer_epochs: float) -> int:
        """Return the epoch whose value is predicted, for a Trainer of so many (infinite without a limit).

        Raises:
            ArgumentError: the two do not fit.
        """
        if self.max_epochs is None and math.isinf(trainer_epochs):
            raise ArgumentError(
                "`max_epochs` of CurveExtrapolationStopping must be given where the Trainer has none: it is "
                "the epoch whose value is predicted."
            )
        if self.max_epochs is not None and self.max_epochs < trainer_epochs < math.inf:
            raise ArgumentError(
                f"`max_epochs` of CurveExtrapolationStopping is {self.max_epochs}, but the Trainer trains on "
                f"to {trainer_epochs:g}: leave it out, or raise it."
            )
        return int(trainer_epochs) if self.max_epochs is None else self.max_epochs


def _check_target(target: Any, rule: Rule) -> None:
    """Refuse a target that is no number, or that the metric cannot come to."""
    if target is None:
        return
    if not is_number(target):
        raise ArgumentError(f"`target` must be a finite number or None, got {target!r}.")
    low, high = limits(rule.bounds)
    if not low <= target <= high:
        raise ArgumentError(f"`target` must lie within `bounds`, {rule.bounds!r}, got {target!r}.")
