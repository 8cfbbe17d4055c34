"""Which arguments a class takes, and whether a space's keys are among them: asked before anything trains."""

import dataclasses
import difflib
import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from lightning_tune.errors import UnknownArgumentError

PREFIXES = ("data.", "trainer.")


def split_config(config: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Split a flat configuration into what the model, the datamodule and the Trainer get.

    Example:
        >>> split_config({"lr": 0.1, "data.batch_size": 32, "trainer.max_epochs": 3})
        ({'lr': 0.1}, {'batch_size': 32}, {'max_epochs': 3})
    """
    model: dict[str, Any] = {}
    data: dict[str, Any] = {}
    trainer: dict[str, Any] = {}
    for key, value in config.items():
        if key.startswith("data."):
            data[key.removeprefix("data.")] = value
        elif key.startswith("trainer."):
            trainer[key.removeprefix("trainer.")] = value
        else:
            model[key.removeprefix("model.")] = value
    return model, data, trainer


def check_keys(
    keys: Iterable[str], sure: Iterable[str], target: Callable[..., Any], name: str, prefix: str = ""
) -> None:
    """Check that a class (or function) takes every key, and that it surely gets what it requires.

    Args:
        keys: the space's keys for this target, without their prefix; dotted ones name a nested argument.
        sure: the keys and arguments that have a value in every trial.
        target: what will be called.
        name: how messages call it.
        prefix: the prefix that the keys have in the space.

    Raises:
        UnknownArgumentError: naming the key, what the target takes, and the nearest; or a required argument
        that
            neither the space nor the caller gives.
    """
    taken, required = signature_of(target)
    for key in keys:
        if taken is not None and key not in taken and key.partition(".")[0] not in taken:
            raise _unknown(key, taken, name, f"space key {prefix + key!r}", prefix)
    have = {key.partition(".")[0] for key in sure}
    missing = [word for word in required if word not in have]
    if missing:
        raise UnknownArgumentError(
            f"{name} needs the argument `{missing[0]}`, which the space does not give: add "
            f"{prefix + missing[0]!r} to "
            "the space (a constant is fine), or give the argument a default."
        )


def check_size(argument: str, target: Callable[..., Any], name: str) -> None:
    """Check that a class takes the argument that grows from rung to rung.

    Raises:
        UnknownArgumentError: it does not, with what it takes and the nearest.
    """
    taken, _ = signature_of(target)
    if taken is not None and argument not in taken:
        raise _unknown(argument, taken, name, f"`budget={'model.' + argument!r}`", "model.")


def signature_of(target: Callable[..., Any]) -> tuple[list[str] | None, list[str]]:
    """Return (the names that a call takes, the names that it requires).

    None for names where anything is taken.

    Through `**kwargs` the arguments are followed to where they go, as LightningCLI does (jsonargparse).
    """
    parameters = list(inspect.signature(target).parameters.values())
    named = [p for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    required = [p.name for p in named if p.default is p.empty]
    if not any(p.kind is p.VAR_KEYWORD for p in parameters):
        return [p.name for p in named], required
    if not inspect.isclass(target):
        return None, required
    from jsonargparse import ArgumentParser

    parser = ArgumentParser(exit_on_error=False)
    followed = parser.add_class_arguments(target, "target", fail_untyped=False)
    names = [name.removeprefix("target.").partition(".")[0] for name in followed]
    names = list(dict.fromkeys([p.name for p in named] + names))
    return (names if len(names) > len(named) else None), required


def call_with(target: Callable[..., Any], arguments: Mapping[str, Any]) -> Any:
    """Call a class (or function) with flat arguments; dotted keys build the nested argument they name.

    A nested argument is a dictionary, a dataclass or any class that the parameter's annotation names; its
    other fields keep the value that is given beside it, or else the parameter's default.
    """
    if not any("." in key for key in arguments):
        return target(**arguments)
    plain = {key: value for key, value in arguments.items() if "." not in key}
    nested: dict[str, Any] = {}
    for key, value in arguments.items():
        if "." in key:
            place = nested
            *parents, last = key.split(".")
            for parent in parents:
                place = place.setdefault(parent, {})
            place[last] = value
    parameters = inspect.signature(target).parameters
    for name, values in nested.items():
        given = plain.get(name)
        if isinstance(given, Mapping) or dataclasses.is_dataclass(given):
            plain[name] = _laid_over(given, values)
        else:
            plain[name] = _build_nested(values, parameters.get(name))
    return target(**plain)


def value_at(arguments: Mapping[str, Any], key: str) -> Any:
    """Return the value of a (possibly dotted) key in arguments that hold dictionaries and dataclasses.

    Raises:
        KeyError: there is none.
    """
    value: Any = arguments
    for part in key.split("."):
        if isinstance(value, Mapping):
            value = value[part]
        elif dataclasses.is_dataclass(value) and hasattr(value, part):
            value = getattr(value, part)
        else:
            raise KeyError(key)
    return value


def _laid_over(given: Any, values: Mapping[str, Any]) -> Any:
    """Return a copy of a dictionary or dataclass with some of its fields replaced, nested ones included."""
    if isinstance(given, Mapping):
        return _merge(dict(given), values)
    fields = {
        name: _laid_over(getattr(given, name), value) if isinstance(value, Mapping) else value
        for name, value in values.items()
    }
    return dataclasses.replace(given, **fields)


def _build_nested(values: dict[str, Any], parameter: inspect.Parameter | None) -> Any:
    default = None if parameter is None or parameter.default is parameter.empty else parameter.default
    annotation = (
        None if parameter is None or parameter.annotation is parameter.empty else parameter.annotation
    )
    if isinstance(default, Mapping) or annotation is None or annotation in (dict, Any):
        return _merge(dict(default) if isinstance(default, Mapping) else {}, values)
    origin = getattr(annotation, "__origin__", annotation)
    if origin in (dict, Mapping):
        return _merge({}, values)
    from jsonargparse import ArgumentParser

    parser = ArgumentParser(exit_on_error=False)
    if default is None:
        parser.add_argument("--nested", type=annotation)
    else:
        parser.add_argument("--nested", type=annotation, default=default)
    parsed = parser.parse_object({"nested": values})
    return parser.instantiate(parsed).nested


def _merge(base: dict[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Lay nested values over a dictionary, dictionaries inside it included."""
    for key, value in values.items():
        inner = base.get(key)
        base[key] = (
            _merge(dict(inner), value) if isinstance(inner, dict) and isinstance(value, dict) else value
        )
    return base


def _unknown(key: str, taken: list[str], name: str, where: str, prefix: str) -> UnknownArgumentError:
    """Return the error for an argument that does not exist, with those that do, and the nearest."""
    near = difflib.get_close_matches(key, taken, 1)
    return UnknownArgumentError(
        f"{name} takes no argument {key!r} ({where}). "
        + (f"It takes {', '.join(f'`{word}`' for word in taken)}." if taken else "It takes no arguments.")
        + (f" Did you mean {prefix + near[0]!r}?" if near else "")
    )
