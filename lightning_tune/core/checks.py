"""Checks of arguments that many parts take."""

from typing import Any, TypeGuard

from lightning_tune.errors import ArgumentError


def whole(name: str, value: Any, least: int) -> int:
    """Return an integer of at least `least`.

    Raises:
        ArgumentError: it is none, naming the argument.
    """
    if not _is_whole(value, least):
        raise ArgumentError(f"`{name}` must be an integer of at least {least}, got {value!r}.")
    return value


def whole_or_none(name: str, value: Any, least: int) -> int | None:
    """Return an integer of at least `least`, or None.

    Raises:
        ArgumentError: it is neither, naming the argument.
    """
    if value is not None and not _is_whole(value, least):
        raise ArgumentError(f"`{name}` must be an integer of at least {least}, or None, got {value!r}.")
    return None if value is None else int(value)


def _is_whole(value: Any, least: int) -> TypeGuard[int]:
    """Return whether a value is an integer (True and False are none) of at least `least`."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= least
