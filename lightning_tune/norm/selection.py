"""Which norm layers of a model `replace_norms` is asked for, and what is to come in their place."""

from collections.abc import Callable, Iterable, Sequence
from fnmatch import fnmatchcase
from typing import Any, Literal, get_args

from torch import nn

from lightning_tune.errors import ArgumentError
from lightning_tune.norm.dispatch import Backend, checked
from lightning_tune.norm.other_kinds import Kind

To = Kind | Literal["none"] | Callable[[nn.Module], nn.Module]
Chosen = str | Callable[[str], bool]


def check_arguments(
    kinds: Kind | Sequence[Kind] | None,
    to: To | None,
    include: Chosen | Sequence[Chosen] | None,
    exclude: Chosen | Sequence[Chosen] | None,
    backend: Backend,
) -> set[Kind]:
    """Return the kinds that are to be swapped.

    Raises:
        ArgumentError: an argument of `replace_norms` that cannot be used, whatever the model.
    """
    every = get_args(Kind)
    if isinstance(to, type):
        raise ArgumentError(
            f"`to` must be the name of a kind, or a callable that gets each old layer, got {to!r}."
        )
    if not (to is None or callable(to) or to in (*every, "none")):
        raise ArgumentError(
            f"`to` must be one of {_listed((*every, 'none'))}, a callable or None, got {to!r}."
        )
    checked(backend)
    _check_names("include", include)
    _check_names("exclude", exclude)
    wanted = every if kinds is None else tuple(_several(kinds))
    if not wanted or any(kind not in every for kind in wanted):
        raise ArgumentError(f"`kinds` takes {_listed(every)}, got {kinds!r}.")
    return set(wanted)


def asked_for(
    names: Sequence[str],
    include: Chosen | Sequence[Chosen] | None,
    exclude: Chosen | Sequence[Chosen] | None,
) -> bool:
    """Whether a layer with these names is included, and none of them is excluded.

    Example:
        >>> asked_for(["encoder.0.norm"], "encoder.*", None), asked_for(["head.norm"], None, "head.*")
        (True, False)
    """
    included = include is None or any(_matches(name, include) for name in names)
    return included and not (exclude is not None and any(_matches(name, exclude) for name in names))


def _matches(name: str, chosen: Chosen | Sequence[Chosen]) -> bool:
    return any(fnmatchcase(name, each) if isinstance(each, str) else each(name) for each in _several(chosen))


def _check_names(argument: str, chosen: Chosen | Sequence[Chosen] | None) -> None:
    if chosen is not None and not all(isinstance(each, str) or callable(each) for each in _several(chosen)):
        raise ArgumentError(
            f"`{argument}` takes a pattern of names, a function of a name, or several, got {chosen!r}."
        )


def _several(given: Any) -> Iterable[Any]:
    """Return one or several as several, whatever it is."""
    single = isinstance(given, str | bytes) or callable(given) or not isinstance(given, Iterable)
    return (given,) if single else given


def _listed(words: Iterable[str]) -> str:
    return ", ".join(f'"{word}"' for word in words)
