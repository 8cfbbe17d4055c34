"""How a callback shows itself: as the call that makes it, without arguments that are at their defaults."""

from inspect import Parameter, signature
from typing import Any


def call_of(thing: Any, *places: Any) -> str:
    """Return the call that makes an object like this one, in short.

    Arguments that must be given come first, without their names as far as they can; defaults are left out. Of
    a URL only the beginning is shown, for it may hold a password.

    Args:
        thing: the object.
        places: more objects that hold arguments, as attributes of the same names.

    Example:
        >>> class Net:
        ...     def __init__(self, width, *, depth=2, bias=True):
        ...         self.width, self.depth, self.bias = width, depth, bias
        >>> call_of(Net(8, depth=3))
        'Net(8, depth=3)'
    """
    words = []
    for name, parameter in signature(type(thing)).parameters.items():
        place = next((place for place in (thing, *places) if hasattr(place, name)), None)
        shown = repr(parameter.default) if place is None else _shown(getattr(place, name))
        if shown == repr(parameter.default):
            continue
        bare = parameter.default is Parameter.empty and parameter.kind is Parameter.POSITIONAL_OR_KEYWORD
        words.append(shown if bare else f"{name}={shown}")
    return f"{type(thing).__name__}({', '.join(words)})"


def _shown(value: Any) -> str:
    if isinstance(value, str) and "://" in value:
        return repr(f"{value.partition('://')[0]}://...")
    return repr(value)
