"""Plain values: what a configuration may hold; checked once, compared exactly, copied when given away.

Exactly the types that JSON brings back as they were: a NumPy scalar, a tuple or a `str` subclass would come
back from a store as something else, so each is refused with the way to write it.
"""

import difflib
import json
import math
from collections.abc import Hashable, Iterable
from copy import deepcopy
from typing import Any

from lightning_tune.core.events import JSON
from lightning_tune.errors import SpaceError

MAX_DEPTH = 50
MAX_INT = 2**63 - 1
_IMMUTABLE = (str, int, float, bool, type(None))


def checked(value: Any, where: str, depth: int = 0) -> JSON:
    """Return a deep copy of a plain JSON value.

    Args:
        value: anything.
        where: what it is, as the subject of a sentence, e.g. "`options[2]`".
        depth: how deep inside another value it is.

    Raises:
        SpaceError: a part of it is no plain JSON value; the sentence says which and how to write it.

    Example:
        >>> checked({"layers": [64, 64], "act": None}, "`model`")
        {'layers': [64, 64], 'act': None}
    """
    if depth > MAX_DEPTH:
        raise SpaceError(f"{where} is nested more than {MAX_DEPTH} levels deep, or contains itself.")
    kind = type(value)
    if kind is str:
        return checked_text(value, where)
    if kind is int:
        if abs(value) > MAX_INT:
            raise SpaceError(f"{where} must fit 64 bits (at most 2**63 - 1), got {show(value)}.")
        return int(value)
    if kind is float:
        if not math.isfinite(value):
            raise SpaceError(f"{where} must be finite, got {value!r}: JSON has no NaN and no infinity.")
        return float(value)
    if value is None or kind is bool:
        return value  # type: ignore[no-any-return]  # None or a bool, checked just above
    if kind is list:
        return [checked(item, f"{where}[{position}]", depth + 1) for position, item in enumerate(value)]
    if kind is dict:
        return {
            _checked_name(name, where): checked(item, f"{where}[{name!r}]", depth + 1)
            for name, item in value.items()
        }
    raise SpaceError(
        f"{where} must be a plain JSON value (text, number, bool, None, list or dict of these), "
        f"got {show(value)} of type {kind.__name__}{_remedy(value)}."
    )


def checked_text(text: str, where: str) -> str:
    """Return text that every store can keep.

    Raises:
        SpaceError: it contains a NUL character or half of a surrogate pair.
    """
    if "\0" in text or any("\ud800" <= character <= "\udfff" for character in text):
        raise SpaceError(
            f"{where} contains a NUL character or a lone surrogate, which no database keeps: {show(text)}."
        )
    return text


def identity(value: JSON) -> Hashable:
    """Return something hashable that is equal for equal values only: 1, 1.0, True and "1" all differ.

    Example:
        >>> identity(1) == identity(1.0)
        False
    """
    if isinstance(value, list | dict):
        return (type(value), json.dumps(value, sort_keys=True))
    return (type(value), value)


def copied(value: JSON) -> JSON:
    """Return the value, or its deep copy where somebody could change it."""
    return value if isinstance(value, _IMMUTABLE) else deepcopy(value)


def show(value: Any, limit: int = 80) -> str:
    """Return a value as a sentence shows it: its `repr`, shortened in the middle."""
    if type(value) is int and abs(value) > 10**limit:
        return f"a number of {value.bit_length()} bits"
    try:
        text = repr(value)
    except Exception as error:  # a foreign class may raise anything here, and an error message must not
        text = f"<{type(value).__name__} whose repr raises {type(error).__name__}>"
    return text if len(text) <= limit else f"{text[: limit - 20]}...{text[-17:]}"


def did_you_mean(word: str, words: Iterable[str]) -> str:
    """Return " Did you mean `x`?" for the nearest of the words, or all of them where none is near.

    Example:
        >>> did_you_mean("with", ["width", "lr"])
        ' Did you mean `width`?'
    """
    known = sorted(set(words))
    near = difflib.get_close_matches(word, known, n=1)
    if near:
        return f" Did you mean `{near[0]}`?"
    return f" There are: {', '.join(f'`{name}`' for name in known)}." if known else ""


def _checked_name(name: Any, where: str) -> str:
    if type(name) is not str:
        raise SpaceError(f"{where} is a dict with the key {show(name)}: JSON takes text alone as a key.")
    return checked_text(name, f"a key of {where}")


def _remedy(value: Any) -> str:
    if isinstance(value, tuple):
        return ": JSON would turn it into a list, so write a list"
    if isinstance(value, set | frozenset):
        return ": write a list"
    if hasattr(value, "tolist") and hasattr(value, "dtype"):
        return ": call `.tolist()` on it"
    if isinstance(value, str | int | float):
        base = next(kind for kind in (str, bool, int, float) if isinstance(value, kind))
        return f": write a plain {base.__name__}"
    if isinstance(value, type) or callable(value):
        return ": give its name as text, and look it up in the module"
    if hasattr(value, "__fspath__"):
        return ": write `str(path)`"
    return ""
