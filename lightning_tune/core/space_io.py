"""A space as plain JSON, and back.

A dimension is a dict with a "type"; a constant is its plain value, except that a constant which is itself a
dict is wrapped as `{"type": "constant", "value": ...}`, so that nothing in it can be taken for a dimension:

    {"lr": {"type": "float", "low": 1e-05, "high": 0.1, "log": true},
     "width": {"type": "int", "low": 16, "high": 512, "step": 16},
     "act": {"type": "choice", "options": ["relu", "gelu"]},
     "optimizer": {"type": "choice", "branches": [["sgd", {"momentum": {...}}], ["adam", {}]]},
     "depth": 3}

The branches are pairs, because the keys of a JSON object are text alone and options need not be; a mapping is
read too.
"""

from collections.abc import Mapping
from typing import Any

from lightning_tune.core.choice import Choice, Constant, Entries, Entry
from lightning_tune.core.dimensions import Float, Int
from lightning_tune.core.events import JSON
from lightning_tune.core.plain import copied, did_you_mean, show
from lightning_tune.errors import SpaceError

_FIELDS = {
    "float": ("low", "high", "log", "step"),
    "int": ("low", "high", "log", "step"),
    "choice": ("options", "branches", "ordered"),
    "constant": ("value",),
}


def to_json(entries: Entries) -> dict[str, JSON]:
    """Return a specification as plain JSON."""
    return {key: _entry_to_json(entry) for key, entry in entries.items()}


def _entry_to_json(entry: Entry) -> JSON:
    if isinstance(entry, Constant):
        value = copied(entry.value)
        return {"type": "constant", "value": value} if isinstance(value, dict) else value
    if isinstance(entry, Choice):
        options = [copied(option) for option in entry.options]
        written: dict[str, Any] = {"type": "choice", "options": options}
        if any(entry.branches):
            pairs = zip(options, entry.branches, strict=True)
            written = {"type": "choice", "branches": [[option, to_json(branch)] for option, branch in pairs]}
        return written | ({"ordered": True} if entry.ordered else {})
    written = {"type": type(entry).__name__.lower(), "low": entry.low, "high": entry.high}
    if entry.log:
        written["log"] = True
    if entry.step is not None:
        written["step"] = entry.step
    return written


def from_json(data: Any) -> dict[str, Any]:
    """Return the specification that plain JSON describes: a dict to make a `Space` of.

    Raises:
        SpaceError: the data has not this form; names the key.
    """
    if not isinstance(data, Mapping):
        raise SpaceError(
            f"a space must be a dict from key to dimension, got {show(data)} of type {type(data).__name__}."
        )
    return {key: _entry_from_json(key, value) for key, value in data.items()}


def _entry_from_json(key: Any, data: Any) -> Any:
    if not isinstance(data, Mapping):
        return data
    kind = data.get("type")
    if not isinstance(kind, str) or kind not in _FIELDS:
        raise SpaceError(
            f'`{key}` must have a "type" of {", ".join(map(repr, _FIELDS))}, got {show(kind)}; a constant '
            f"that is a dict "
            'is written {"type": "constant", "value": ...}.'
        )
    fields = {name: value for name, value in data.items() if name != "type"}
    for name in fields:
        if name not in _FIELDS[kind]:
            raise SpaceError(
                f"`{key}` has the field {show(name)}, unknown to "
                f"{kind!r}.{did_you_mean(str(name), _FIELDS[kind])}"
            )
    try:
        return _build(kind, fields)
    except SpaceError as error:
        raise SpaceError(f"`{key}`: {error}") from None


def _build(kind: str, fields: dict[str, Any]) -> Any:
    if kind == "constant":
        return fields["value"] if "value" in fields else _lacking("value")
    if kind == "choice":
        ordered = fields.get("ordered", False)
        if ("options" in fields) == ("branches" in fields):
            raise SpaceError('a choice has either "options" or "branches".')
        if "options" not in fields:
            return Choice(_branches(fields["branches"]), ordered=ordered)
        options = fields["options"]
        if not isinstance(options, list):
            raise SpaceError(
                f'"options" must be a list, got {show(options)}; options with keys of their own are '
                f'"branches".'
            )
        return Choice(options, ordered=ordered)
    low, high = (fields[name] if name in fields else _lacking(name) for name in ("low", "high"))
    build: type[Float | Int] = Float if kind == "float" else Int
    return build(low, high, log=fields.get("log", False), step=fields.get("step"))


def _branches(data: Any) -> dict[Any, dict[str, Any]]:
    pairs = list(data.items()) if isinstance(data, Mapping) else data
    if not isinstance(pairs, list) or not all(
        isinstance(pair, list | tuple) and len(pair) == 2 for pair in pairs
    ):
        raise SpaceError(
            f'"branches" must be a list of pairs [option, {{key: dimension}}], got {show(data)}.'
        )
    branches: dict[Any, dict[str, Any]] = {}
    for option, spec in pairs:
        if option is not None and not isinstance(option, str | int | float):
            raise SpaceError(
                f'an option in "branches" must be text, a number, a bool or null, got {show(option)}.'
            )
        if option in branches:
            raise SpaceError(
                f'"branches" has the option {show(option)} twice (1, 1.0 and true count as one here).'
            )
        try:
            branches[option] = from_json(spec)
        except SpaceError as error:
            raise SpaceError(f"under the option {show(option)}: {error}") from None
    return branches


def _lacking(name: str) -> Any:
    raise SpaceError(f'"{name}" is missing.')
