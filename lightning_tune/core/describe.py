"""Plain JSON of a searcher's or scheduler's settings.

What a sweep records to know that nothing has changed.
"""

import dataclasses
from typing import Any

from lightning_tune.core.events import JSON


def describe(part: Any) -> dict[str, JSON]:
    """Return the class name and the settings of a dataclass, as plain JSON.

    Example:
        >>> @dataclasses.dataclass
        ... class Part:
        ...     eta: int = 3
        >>> describe(Part())
        {'name': 'Part', 'eta': 3}
    """
    names = [field.name for field in dataclasses.fields(part) if not field.name.startswith("_")]
    settings = {name: plain(getattr(part, name)) for name in names}
    return {"name": type(part).__name__, **settings}


def plain(value: Any) -> JSON:
    """Return a value as plain JSON; what is not plain becomes its name (or its type's)."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return describe(value)
    return getattr(value, "__qualname__", None) or type(value).__qualname__
