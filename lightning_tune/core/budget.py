"""What a trial spends (epochs, data or model size), and how epochs are counted."""

import math
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from lightning_tune.errors import ArgumentError

Unit: TypeAlias = Literal["epochs", "steps", "samples", "seconds"]
_UNITS: tuple[str, ...] = get_args(Unit)
_MODEL = "model."


@dataclass(frozen=True, kw_only=True, slots=True)
class Budget:
    """What grows from rung to rung.

    Attributes:
        grows: "epochs" (training goes on), "data" (a fraction of the training set, from nothing at each rung)
            or "model.<argument>" (an integer argument of the module, from nothing at each rung).
        unit: how epochs are counted; "epochs" for the other two.
        full: the whole budget as far as the Trainer says: its `max_epochs` where epochs are counted, 1.0 for
            data; infinite where only the user can say.

    Example:
        >>> budget = Budget.of("epochs", "epochs", max_epochs=27)
        >>> budget.full, budget.resumes, budget.amount(9)
        (27.0, True, '9 epochs')
    """

    grows: str = "epochs"
    unit: Unit = "epochs"
    full: float = math.inf

    @classmethod
    def of(cls, budget: str, budget_unit: str, max_epochs: float = math.inf) -> "Budget":
        """Check a user's `budget` and `budget_unit`.

        Raises:
            ArgumentError: a word that does not exist, or a unit that does not fit.
        """
        if budget_unit not in _UNITS:
            raise ArgumentError(
                f"`budget_unit` must be one of {', '.join(map(repr, _UNITS))}, got {budget_unit!r}."
            )
        known = budget in ("epochs", "data") or (
            isinstance(budget, str)
            and budget.startswith(_MODEL)
            and budget.removeprefix(_MODEL).isidentifier()
        )
        if not known:
            raise ArgumentError(
                "`budget` must be 'epochs', 'data' or 'model.<argument>' (an integer argument of the "
                f"module), got {budget!r}."
            )
        if budget != "epochs" and budget_unit != "epochs":
            raise ArgumentError(
                f"`budget_unit={budget_unit!r}` counts training that goes on; with `budget={budget!r}` leave "
                "it out."
            )
        full = (
            1.0
            if budget == "data"
            else max_epochs
            if (budget, budget_unit) == ("epochs", "epochs")
            else math.inf
        )
        return cls(grows=budget, unit=budget_unit, full=float(full))  # type: ignore[arg-type]  # checked just above

    @property
    def resumes(self) -> bool:
        """Whether a larger budget continues a trial's training; else each rung trains anew."""
        return self.grows == "epochs"

    @property
    def argument(self) -> str | None:
        """The argument of the module that grows, if it is one."""
        return self.grows.removeprefix(_MODEL) if self.grows.startswith(_MODEL) else None

    @property
    def whole(self) -> bool:
        """Whether budgets are whole numbers."""
        return self.grows != "data" and self.unit != "seconds"

    @property
    def least(self) -> float:
        """The smallest budget that makes sense; 0 where none stands out."""
        return 1.0 if self.whole and self.unit == "epochs" else 0.0

    @property
    def name(self) -> str:
        """What is counted, in the plural: "epochs", "fractions of the data", "depth"."""
        return "fractions of the data" if self.grows == "data" else self.argument or self.unit

    def amount(self, value: float) -> str:
        """Return a budget in words: "9 epochs", "33.3% of the data", "depth 4"."""
        if self.grows == "data":
            return f"{self.figure(value)} of the data"
        if self.argument is not None:
            return f"{self.argument} {value:g}"
        return f"{self.figure(value)} {self.unit.removesuffix('s') if value == 1 else self.unit}"

    def figure(self, value: float) -> str:
        """Return a budget without its unit: "9", "1,234,567", "33.3%"."""
        if self.grows == "data":
            return f"{100 * value:.3g}%"
        return f"{value:,.10g}" if value >= 10_000 else f"{value:g}"

    def named(self, figures: str) -> str:
        """Return a list of budgets with the unit, where epochs go without saying: "1, 3, 9", "depth 2, 4"."""
        if self.grows == "data":
            return f"{figures} of the data"
        if self.argument is not None:
            return f"{self.argument} {figures}"
        return figures if self.unit == "epochs" else f"{figures} {self.unit}"


EPOCHS = Budget()
