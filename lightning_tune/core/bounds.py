"""What the bounds and steps of a numeric dimension may be, each refusal with its remedy (`SpaceError`)."""

import math
from typing import Any

from lightning_tune.core.plain import MAX_INT, show
from lightning_tune.errors import SpaceError


def checked_real(value: Any, name: str) -> float:
    """Return the finite float that an argument is."""
    if type(value) not in (int, float):
        raise SpaceError(
            f"`{name}` must be a plain int or float, got {show(value)} of type "
            f"{type(value).__name__}{_hint(value)}."
        )
    if type(value) is int and abs(value) > MAX_INT or not math.isfinite(value):
        raise SpaceError(f"`{name}` must be a finite number, got {show(value)}.")
    return float(value)


def check_whole(value: Any, name: str) -> None:
    """Refuse what is no int of 64 bits."""
    if type(value) is not int:
        raise SpaceError(
            f"`{name}` must be a plain int, got {show(value)} of type {type(value).__name__}{_hint(value)}."
        )
    if abs(value) > MAX_INT:
        raise SpaceError(f"`{name}` must fit 64 bits (at most 2**63 - 1), got {show(value)}.")


def check_order(low: float, high: float) -> None:
    """Refuse bounds that are equal or the wrong way round."""
    if low == high:
        raise SpaceError(
            f"`low` must be below `high`, both are {low!r}: use a constant, the plain value {low!r}, instead."
        )
    if low > high:
        raise SpaceError(f"`low` must be below `high`, got low={low!r} and high={high!r}: swap them.")


def check_log(log: Any, low: float) -> None:
    """Refuse a logarithm of what is not positive."""
    if type(log) is not bool:
        raise SpaceError(f"`log` must be True or False, got {show(log)}.")
    if log and low <= 0:
        raise SpaceError(
            f"`low` must be positive with `log=True`, got {low!r}: raise it, or leave `log` out."
        )


def check_step(step: float, width: float, log: bool) -> None:
    """Refuse a step that leaves one value, or goes with a logarithm."""
    if log:
        raise SpaceError(
            f"`step` cannot go with `log=True`, got step={step!r}: leave one out, or list values in an "
            f"ordered Choice."
        )
    if step <= 0:
        raise SpaceError(f"`step` must be positive, got {step!r}.")
    if step > width:
        raise SpaceError(f"`step` must be at most `high - low` ({width!r}), got {step!r}.")


def _hint(value: Any) -> str:
    if hasattr(value, "item") and hasattr(value, "dtype"):
        return ": call `.item()` on it"
    if type(value) is float and value.is_integer():
        return f": write {int(value)}"
    if type(value) is float:
        return ": for real numbers use Float"
    if isinstance(value, str):
        return " (YAML 1.1 reads 1e-5 as text: write 1.0e-5)"
    return ""
