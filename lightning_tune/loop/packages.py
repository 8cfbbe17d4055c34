"""`lightning` and `pytorch_lightning` are two packages with two sets of classes.

Find the user's, and never mix them.
"""

import importlib
import sys
import types
from types import ModuleType
from typing import Any

from lightning_tune.errors import ArgumentError

_HOMES = {"lightning.pytorch": "lightning", "pytorch_lightning": "pytorch_lightning"}


def home_of(thing: Any) -> str | None:
    """Return the package that a class or object is from: "lightning.pytorch", "pytorch_lightning" or None."""
    kind = thing if isinstance(thing, type) else type(thing)
    for ancestor in kind.__mro__:
        for home in _HOMES:
            if ancestor.__module__ == home or ancestor.__module__.startswith(home + "."):
                return home
    return None


def common_package(**things: Any) -> ModuleType:
    """Return the one package that all things (named as the user's arguments) come from.

    Things of neither package are passed over, but for functions, which count by the one package whose names
    they use. Where that leaves none, it is the one that is imported, and `lightning.pytorch` if both or
    neither are.

    Raises:
        ArgumentError: two things come from different packages.
    """
    found = {name: home for name, thing in things.items() if (home := home_of(thing) or _mentions(thing))}
    homes = sorted(set(found.values()))
    if len(homes) > 1:
        first = next(name for name, home in found.items() if home == homes[0])
        second = next(name for name, home in found.items() if home == homes[1])
        raise ArgumentError(
            f"`{first}` is a class of the package `{_HOMES[homes[0]]}`, but `{second}` is one of "
            f"`{_HOMES[homes[1]]}`: they do not work together. Import all of them from the same package."
        )
    if homes:
        return importlib.import_module(homes[0])
    imported = [home for home in _HOMES if home in sys.modules]
    return importlib.import_module(imported[0] if imported else "lightning.pytorch")


def _mentions(thing: Any) -> str | None:
    """Return the one package that a function's own names (globals and closure) come from, or None."""
    code = getattr(thing, "__code__", None)
    if code is None:
        return None
    named = [thing.__globals__[name] for name in code.co_names if name in thing.__globals__]
    named += [cell.cell_contents for cell in thing.__closure__ or () if cell != types.CellType()]
    homes = {home for value in named if (home := _module_home(value) or home_of(value)) is not None}
    return homes.pop() if len(homes) == 1 else None


def _module_home(value: Any) -> str | None:
    if not isinstance(value, ModuleType):
        return None
    return {"lightning": "lightning.pytorch"}.get(value.__name__) or next(
        (home for home in _HOMES if value.__name__ == home or value.__name__.startswith(home + ".")), None
    )
