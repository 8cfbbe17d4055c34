"""`Choice`: one of several options, each of which may bring hyperparameters of its own.

This file also holds the rules of a specification (what a dict of keys and dimensions may be), because the
dict that defines a space and the dict below an option of a choice are the same thing.
"""

import difflib
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from lightning_tune.core.bins import bin_centre, bin_index
from lightning_tune.core.dimensions import Float, Int
from lightning_tune.core.events import JSON
from lightning_tune.core.plain import checked, checked_text, copied, identity, show
from lightning_tune.errors import SpaceError

PREFIXES = ("model.", "data.", "trainer.")


@dataclass(frozen=True, slots=True, eq=False)
class Constant:
    """A value that every configuration holds; users write the plain value."""

    value: JSON

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Constant) and identity(self.value) == identity(other.value)

    def __hash__(self) -> int:
        return hash(identity(self.value))

    def __repr__(self) -> str:
        return repr(self.value)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Choice:
    """One of several options.

    Args:
        options: a list of plain JSON values (1, 1.0, True and "1" are four different options), or a mapping
            from option to the dict of hyperparameters that exist only under it; `{}` where there are none.
        ordered: the options are in a meaningful order, so that neighbours resemble each other.

    Attributes:
        options: the options, as a tuple.
        branches: for each option the keys and dimensions that exist only under it.

    Raises:
        SpaceError: no options, the same twice, a value that is no plain JSON, or a bad dict below an option.

    Example:
        >>> Choice(["relu", "gelu", None]).num_values
        3
        >>> Choice({"sgd": {"momentum": Float(0, 0.99)}, "adam": {}}).options
        ('sgd', 'adam')
    """

    options: Sequence[Any] | Mapping[Any, Mapping[str, Any]]
    ordered: bool = field(default=False, kw_only=True)
    branches: "tuple[Entries, ...]" = field(default=(), init=False)
    _index: dict[Hashable, int] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        given = self.options
        if isinstance(given, str | bytes) or not isinstance(given, Mapping | list | tuple | range):
            raise SpaceError(
                "`options` must be a list of values, or a dict from option to the hyperparameters it brings, "
                f"got {show(given)} of type {type(given).__name__}."
            )
        if not given:
            raise SpaceError("`options` must hold at least one option, got none.")
        if type(self.ordered) is not bool:
            raise SpaceError(f"`ordered` must be True or False, got {show(self.ordered)}.")
        values = tuple(checked(option, f"`options[{position}]`") for position, option in enumerate(given))
        branches: tuple[Entries, ...] = ({},) * len(values)
        if isinstance(given, Mapping):
            branches = tuple(_branch(option, spec) for option, spec in given.items())
        index: dict[Hashable, int] = {}
        for position, value in enumerate(values):
            if index.setdefault(identity(value), position) != position:
                raise SpaceError(f"`options` holds {show(value)} twice: leave one out.")
        object.__setattr__(self, "options", values)
        object.__setattr__(self, "branches", branches)
        object.__setattr__(self, "_index", index)

    @property
    def num_values(self) -> int:
        """The number of options."""
        return len(self.branches)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Choice):
            return NotImplemented
        return self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def _key(self) -> Hashable:
        branches = tuple(tuple(branch.items()) for branch in self.branches)
        return (self.ordered, tuple(self._index), branches)

    def __repr__(self) -> str:
        ordered = ", ordered=True" if self.ordered else ""
        if any(self.branches):
            pairs = ", ".join(f"{o!r}: {b!r}" for o, b in zip(self.options, self.branches, strict=True))
            return f"Choice({{{pairs}}}{ordered})"
        return f"Choice({list(self.options)!r}{ordered})"

    def check(self, value: Any, key: str) -> JSON:
        """Return the option that the value is.

        Raises:
            SpaceError: it is none of the options; names `key` and lists them.
        """
        return self.option(self.index(value, key))

    def index(self, value: Any, key: str) -> int:
        """Return the position of the option that the value is.

        Raises:
            SpaceError: it is none of the options; names `key` and lists them.
        """
        try:
            found = self._index.get(identity(value))
        except (TypeError, ValueError, RecursionError):  # unhashable, or no JSON: no option either way
            found = None
        if found is None:
            options = ", ".join(show(option, 40) for option in self.options[:20])
            more = f", ... ({self.num_values} in all)" if self.num_values > 20 else ""
            raise SpaceError(f"`{key}` must be one of {options}{more}, got {show(value)}.{self._near(value)}")
        return found

    def option(self, position: int) -> JSON:
        """Return an option by its position (a copy, where it could be changed)."""
        options: Any = self.options  # a tuple, once checked
        return copied(options[position])

    def to_unit(self, value: JSON) -> float:
        """Return where an option lies in [0, 1]: the i-th of n at (i + 0.5) / n."""
        return bin_centre(self._index[identity(value)], self.num_values)

    def from_unit(self, unit: float) -> JSON:
        """Return the option at a place in [0, 1]."""
        return self.option(bin_index(unit, self.num_values))

    def _near(self, value: Any) -> str:
        """Hint at an option that is written almost the same."""
        if isinstance(value, str):
            words = [option for option in self.options if isinstance(option, str)]
            near = difflib.get_close_matches(value, words, n=1)
            return f" Did you mean {near[0]!r}?" if near else ""
        for option in self.options:
            if isinstance(value, int | float) and isinstance(option, int | float) and value == option:
                return f" Write {option!r}: the option is of type {type(option).__name__}."
            if isinstance(value, tuple) and list(value) == option:
                return " Write a list."
        return ""


Dimension: TypeAlias = Float | Int | Choice
Entry: TypeAlias = Float | Int | Choice | Constant
Entries: TypeAlias = dict[str, Entry]


def checked_spec(spec: Any, where: str) -> Entries:
    """Return the entries of a specification: short keys, and dimensions or constants.

    Raises:
        SpaceError: no dict, a bad key, the same key twice or twice at once, or a value that is neither a
            dimension nor plain JSON.
    """
    if not isinstance(spec, Mapping):
        raise SpaceError(
            f"{where} must be a dict from key to dimension, got {show(spec)} of type {type(spec).__name__}."
        )
    entries: Entries = {}
    for given, value in spec.items():
        key = short_key(given)
        if key in entries:
            raise SpaceError(
                f"`{key}` is given twice ('model.' is the long form of no prefix): leave one out."
            )
        entries[key] = _entry(key, value)
    _check_once(entries)
    return entries


def short_key(key: Any) -> str:
    """Return a key in its short form, without the prefix `model.`.

    Raises:
        SpaceError: no text, empty, with an empty part between dots, or a form that cannot be told from
            another.

    Example:
        >>> short_key("model.encoder.width"), short_key("data.batch_size")
        ('encoder.width', 'data.batch_size')
    """
    if type(key) is not str or not key:
        raise SpaceError(f"a key must be a non-empty text, got {show(key)} of type {type(key).__name__}.")
    checked_text(key, f"the key {show(key)}")
    short = key.removeprefix("model.")
    if not all(part and part == part.strip() for part in key.split(".")):
        raise SpaceError(
            f"the key {show(key)} must be words joined by single dots, without blanks around them."
        )
    if short != key and short.startswith(PREFIXES):
        raise SpaceError(
            f"the key {show(key)} cannot be told from a key with the prefix `{short.partition('.')[0]}.`: "
            "rename the module's argument, or set it in the module."
        )
    return short


def all_keys(entries: Entries) -> set[str]:
    """Return every key that can occur, those of all branches included."""
    keys = set(entries)
    for entry in entries.values():
        if isinstance(entry, Choice):
            keys.update(*(all_keys(branch) for branch in entry.branches))
    return keys


def _entry(key: str, value: Any) -> Entry:
    if isinstance(value, Float | Int | Choice | Constant):
        return value
    if value in (Float, Int, Choice) if isinstance(value, type) else False:
        raise SpaceError(f"`{key}` is the class {value.__name__} itself: write {value.__name__}(...).")
    if isinstance(value, dict) and any(isinstance(item, Float | Int | Choice) for item in value.values()):
        inner = next(name for name, item in value.items() if isinstance(item, Float | Int | Choice))
        raise SpaceError(
            f"`{key}` is a dict with dimensions inside: write a nested argument as the key "
            f"{f'{key}.{inner}'!r}."
        )
    if isinstance(value, list) and any(isinstance(item, Float | Int | Choice) for item in value):
        raise SpaceError(f"`{key}` is a list with dimensions inside: give each dimension a key of its own.")
    return Constant(checked(value, f"`{key}`"))


def _branch(option: JSON, spec: Any) -> Entries:
    try:
        return checked_spec(spec, f"the value of the option {show(option)}")
    except SpaceError as error:
        raise SpaceError(f"under the option {show(option)}: {error}") from None


def _check_once(entries: Entries) -> None:
    """Refuse a key that could be active twice: all entries of a dict are, two options never."""
    owner: dict[str, str] = {}
    for key, entry in entries.items():
        inner: set[str] = set()
        if isinstance(entry, Choice):
            inner.update(*(all_keys(branch) for branch in entry.branches))
        if key in inner:
            raise SpaceError(f"`{key}` occurs again under one of its own options: rename one of them.")
        for name in sorted(inner | {key}):
            other = owner.setdefault(name, key)
            if other != key:
                places = " and ".join(
                    "on its own" if place == name else f"under `{place}`" for place in (other, key)
                )
                raise SpaceError(
                    f"`{name}` occurs {places}, which can be active at once: rename one of them."
                )
