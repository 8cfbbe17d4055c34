"""Checks of TuneLoop's arguments that belong to no part of their own."""

from typing import Any

from lightning_tune.errors import ArgumentError
from lightning_tune.execute import Executor, InlineExecutor


def not_negative(name: str, value: Any) -> float:
    """Return a number of seconds of at least 0.

    Raises:
        ArgumentError: it is none, naming the argument.
    """
    if not isinstance(value, int | float) or isinstance(value, bool) or not value >= 0:
        raise ArgumentError(f"`{name}` must be a number of seconds of at least 0, got {value!r}.")
    return float(value)


def only(name: str, value: Any, word: str) -> None:
    """Refuse what is not available yet.

    Raises:
        ArgumentError: `value` is not `word`.
    """
    if value != word:
        raise ArgumentError(f"`{name}` must be {word!r} (the only one so far), got {value!r}.")


def executor_of(workers: Any, executor: Any, devices: Any) -> Executor:
    """Return the executor that `workers`, `executor` and `devices_per_trial` ask for.

    Raises:
        ArgumentError: anything but one trial at a time in this process.
    """
    if workers != 1 or isinstance(workers, bool):
        raise ArgumentError(f"`workers` must be 1, got {workers!r}: worker processes are not available yet.")
    if executor is not None and not isinstance(executor, InlineExecutor):
        raise ArgumentError(
            f"`executor` must be None or InlineExecutor() (the only one so far), got {executor!r}."
        )
    if devices not in (None, 1):
        raise ArgumentError(f"`devices_per_trial` must be 1 or None, got {devices!r}.")
    return executor or InlineExecutor()
