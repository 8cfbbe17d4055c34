"""A space as each of the other libraries writes it, and their proposals as configurations.

Optuna defines it by running, a branch being a condition in the code; SMAC takes conditions, Ax parameters
that depend on others; hyperopt and nevergrad take trees, in which an option stands with what is below it.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from search_problems import Config

from lightning_tune import Choice, Float, Int, Space

Spec = Mapping[str, Any]


def optuna_suggested(trial: Any, spec: Spec) -> Config:
    """Return a configuration that an Optuna trial suggests."""
    config: Config = {}
    for key, axis in spec.items():
        if isinstance(axis, Float):
            config[key] = trial.suggest_float(key, axis.low, axis.high, log=axis.log)
        elif isinstance(axis, Int):
            config[key] = trial.suggest_int(key, axis.low, axis.high, log=axis.log)
        else:
            config[key] = trial.suggest_categorical(key, list(axis.options))
            config |= optuna_suggested(trial, axis.branches[axis.options.index(config[key])])
    return config


def config_space(space: Space, seed: int) -> Any:
    """Return a ConfigSpace."""
    import ConfigSpace

    built = ConfigSpace.ConfigurationSpace(seed=seed)
    for key, axis, parent, option in _walk(space.spec):
        if isinstance(axis, Choice):
            kind: Any = (
                ConfigSpace.OrdinalHyperparameter if axis.ordered else ConfigSpace.CategoricalHyperparameter
            )
            built.add(kind(key, list(axis.options)))
        else:
            kind = ConfigSpace.Integer if isinstance(axis, Int) else ConfigSpace.Float
            built.add(kind(key, (axis.low, axis.high), log=axis.log))
        if parent:
            built.add(ConfigSpace.EqualsCondition(built[key], built[parent], option))
    return built


def ax_parameters(space: Space) -> list[Any]:
    """Return Ax's parameters: a hierarchical search space."""
    from ax.api.configs import ChoiceParameterConfig, RangeParameterConfig

    built: list[Any] = []
    for key, axis, _, _ in _walk(space.spec):
        if isinstance(axis, Choice):
            below = {o: list(b) for o, b in zip(axis.options, axis.branches, strict=True) if b}
            built.append(
                ChoiceParameterConfig(
                    name=key,
                    values=list(axis.options),
                    parameter_type=type(axis.options[0]).__name__,  # type: ignore[arg-type]
                    is_ordered=axis.ordered,
                    dependent_parameters=below or None,
                )
            )
        else:
            built.append(
                RangeParameterConfig(
                    name=key,
                    bounds=(axis.low, axis.high),
                    parameter_type="int" if isinstance(axis, Int) else "float",
                    scaling="log" if axis.log else "linear",
                )
            )
    return built


def hyperopt_expressions(spec: Spec) -> dict[str, Any]:
    """Return hyperopt's expressions; a choice yields a dictionary of its option and what is below it."""
    from hyperopt import hp  # type: ignore[import-untyped]
    from hyperopt.pyll import scope  # type: ignore[import-untyped]

    built: dict[str, Any] = {}
    for key, axis in spec.items():
        if isinstance(axis, Choice):
            pairs = zip(axis.options, axis.branches, strict=True)
            built[key] = hp.choice(key, [{"option": o, **hyperopt_expressions(b)} for o, b in pairs])
        elif isinstance(axis, Float):
            low, high = (np.log(axis.low), np.log(axis.high)) if axis.log else (axis.low, axis.high)
            built[key] = (hp.loguniform if axis.log else hp.uniform)(key, low, high)
        elif axis.log:
            low, high = np.log(axis.low - 0.499), np.log(axis.high + 0.499)
            built[key] = scope.int(hp.qloguniform(key, low, high, 1))
        else:
            built[key] = hp.uniformint(key, axis.low, axis.high)
    return built


def nevergrad_parameters(spec: Spec) -> dict[str, Any]:
    """Return nevergrad's parameters; a choice yields a dictionary of its option and what is below it."""
    import nevergrad as library  # type: ignore[import-untyped]

    built: dict[str, Any] = {}
    for key, axis in spec.items():
        if isinstance(axis, Choice):
            pairs = zip(axis.options, axis.branches, strict=True)
            options = [
                library.p.Dict(option=option, **nevergrad_parameters(below)) for option, below in pairs
            ]
            built[key] = (library.p.TransitionChoice if axis.ordered else library.p.Choice)(options)
            continue
        built[key] = (library.p.Log if axis.log else library.p.Scalar)(lower=axis.low, upper=axis.high)
        if isinstance(axis, Int):
            built[key].set_integer_casting()
    return built


def _walk(spec: Spec, parent: str = "", option: Any = None) -> Iterator[tuple[str, Any, str, Any]]:
    """Yield (key, dimension, the choice above it, the option it stands below), parents first."""
    for key, axis in spec.items():
        yield key, axis, parent, option
        if isinstance(axis, Choice):
            for value, branch in zip(axis.options, axis.branches, strict=True):
                yield from _walk(branch, key, value)


def plain(found: Mapping[str, Any], space: Space) -> Config:
    """Return a library's proposal as a configuration: nesting undone, active keys alone, plain values."""
    flat: Config = {}
    _open(found, flat)
    return _active(flat, space.spec)


def _open(found: Mapping[str, Any], flat: Config) -> None:
    for key, value in dict(found).items():
        if isinstance(value, Mapping):
            flat[key] = value["option"]
            _open({name: below for name, below in value.items() if name != "option"}, flat)
        else:
            flat[key] = value


def _active(flat: Config, spec: Spec) -> Config:
    config: Config = {}
    for key, axis in spec.items():
        value = flat[key]
        if isinstance(axis, Choice):
            place = list(axis.options).index(value)
            config[key] = axis.options[place]
            config |= _active(flat, axis.branches[place])
        else:
            kind = int if isinstance(axis, Int) else float
            config[key] = kind(min(max(kind(value), axis.low), axis.high))  # a last bit beyond a bound
    return config
