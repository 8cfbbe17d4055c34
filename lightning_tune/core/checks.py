"""Checks of arguments that many parts take."""

import re
from typing import Any, TypeGuard

from lightning_tune.errors import ArgumentError

_SWEEP = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


def sweep_name(name: str, value: Any) -> str:
    """Return a sweep's name, which may become a folder's.

    Raises:
        ArgumentError: it cannot be one, naming the argument.
    """
    if not isinstance(value, str) or not _SWEEP.fullmatch(value):
        raise ArgumentError(
            f"`{name}` must be 1 to 100 letters, digits, '.', '_' or '-', beginning with a letter or digit, "
            f"got {value!r}."
        )
    return value


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
