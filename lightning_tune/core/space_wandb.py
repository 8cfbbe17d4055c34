"""The `parameters:` section of a W&B sweep, as a specification of ours.

The distributions and their defaults are those of W&B's own schema. What its samplers round (`q_...`) is here
a dimension with these values and no others, so a value that lies outside of the bounds because it was rounded
does not occur.
"""

import math
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any

from lightning_tune.core import yamltext
from lightning_tune.core.choice import Choice
from lightning_tune.core.dimensions import Float, Int
from lightning_tune.core.plain import show
from lightning_tune.errors import SpaceError

_SWEEP_KEYS = frozenset(
    (
        *("parameters", "method", "metric", "program", "name", "description", "project", "entity", "command"),
        *("early_terminate", "run_cap", "controller", "job", "image_uri", "scheduler", "settings"),
    )
)
_MOST_OPTIONS = 33


def from_wandb(parameters: Mapping[str, Any] | str) -> dict[str, Any]:
    """Return the specification that a W&B sweep describes: a dict to make a `Space` of.

    Args:
        parameters: the `parameters:` section or a whole sweep, as a mapping or as YAML text.

    Raises:
        SpaceError: it has not this form, or uses a distribution that a space lacks; names the key.
    """
    data = yamltext.load(parameters) if isinstance(parameters, str) else parameters
    if isinstance(data, Mapping) and "parameters" in data and set(data) <= _SWEEP_KEYS:
        data = data["parameters"]
    spec: dict[str, Any] = {}
    _read(data, "", spec)
    return spec


def _read(section: Any, prefix: str, spec: dict[str, Any]) -> None:
    where = f"`{prefix.rstrip('.')}`" if prefix else "`parameters`"
    if not isinstance(section, Mapping):
        raise SpaceError(f"{where} must be a mapping from name to parameter, got {show(section)}.")
    for name, parameter in section.items():
        key = f"{prefix}{name}"
        if not isinstance(parameter, Mapping):
            raise SpaceError(
                f"`{key}` must be a mapping such as {{values: [...]}} or {{value: ...}}, got "
                f"{show(parameter)}."
            )
        if "parameters" in parameter:
            if len(parameter) > 1:
                raise SpaceError(
                    f"`{key}` has nested `parameters` and more beside them: {sorted(map(str, parameter))}."
                )
            _read(parameter["parameters"], f"{key}.", spec)
            continue
        if key in spec:
            raise SpaceError(f"`{key}` is given twice, nested and with a dot in its name: leave one out.")
        try:
            spec[key] = _dimension(parameter)
        except SpaceError as error:
            raise SpaceError(f"`{key}`: {error}") from None


def _dimension(parameter: Mapping[str, Any]) -> Any:
    distribution = parameter.get("distribution") or _implied(parameter)
    if not isinstance(distribution, str) or distribution not in _READERS:
        raise SpaceError(
            f"the distribution {show(distribution)} has no counterpart here; there are: "
            f"{', '.join(sorted(_READERS))}."
        )
    reader, needed, optional = _READERS[distribution]
    for field in needed:
        if field not in parameter:
            raise SpaceError(f"the distribution {distribution!r} needs `{field}`.")
    for field in parameter:
        if field not in (*needed, *optional, "distribution"):
            raise SpaceError(f"the distribution {distribution!r} takes no {show(field)}.")
    return reader(**{field: parameter[field] for field in (*needed, *optional) if field in parameter})


def _implied(parameter: Mapping[str, Any]) -> str:
    """Return the distribution that W&B takes where none is named."""
    if "probabilities" in parameter:
        return "categorical_w_probabilities"
    if "values" in parameter:
        return "categorical"
    if "value" in parameter:
        return "constant"
    if "min" not in parameter or "max" not in parameter:
        raise SpaceError(
            f"it needs `min` and `max`, `values`, `value` or `parameters`, got {sorted(map(str, parameter))}."
        )
    whole = all(type(parameter[field]) is int for field in ("min", "max"))
    return "int_uniform" if whole else "uniform"


def _values(values: Any) -> Choice:
    if not isinstance(values, list | tuple):
        raise SpaceError(f"`values` must be a list, got {show(values)}.")
    return Choice(list(values))


def _constant(value: Any) -> Any:
    return value


def _uniform(min: Any, max: Any) -> Float:
    return Float(min, max)


def _int_uniform(min: Any, max: Any) -> Int:
    return Int(min, max)


def _log_values(min: Any, max: Any) -> Float:
    return Float(min, max, log=True)


def _log_exponents(min: Any, max: Any) -> Float:
    return Float(_exp(min, "min"), _exp(max, "max"), log=True)


def _inverse_log_exponents(min: Any, max: Any) -> Float:
    """`log(1/x)` is uniform from `min` to `max`."""
    return Float(_exp(max, "max", -1), _exp(min, "min", -1), log=True)


def _q_uniform(min: Any, max: Any, q: Any = 1) -> Float | Int:
    first, last = _multiples(min, max, q)
    if type(q) is int:
        return Int(int(first), int(last), step=q)
    return Float(float(first), float(last), step=q)


def _q_log_values(min: Any, max: Any, q: Any = 1) -> Int | Choice:
    """Every int for a `q` of 1; else multiples of `q` whose ratio is about constant, in an ordered choice."""
    first, last = _multiples(min, max, q)
    if first <= 0:
        raise SpaceError(f"`min` must be positive for a logarithm, got {show(min)}.")
    if type(q) is int and q == 1:
        return Int(int(first), int(last), log=True)
    step = Fraction(repr(q))
    ratio = _greater(float((first + step) / first), float(last / first) ** (1 / (_MOST_OPTIONS - 1)))
    multiples = [first]
    while multiples[-1] < last:
        wanted = Fraction(round(multiples[-1] * Fraction(ratio) / step)) * step
        following = _greater(multiples[-1] + step, wanted)
        multiples.append(last if following + step / 2 > last else following)
    return Choice([int(number) if type(q) is int else float(number) for number in multiples], ordered=True)


def _q_log_exponents(min: Any, max: Any, q: Any = 1) -> Int | Choice:
    return _q_log_values(_exp(min, "min"), _exp(max, "max"), q)


def _greater(first: Any, second: Any) -> Any:
    return first if first > second else second  # `max` is a field's name here


def _multiples(low: Any, high: Any, q: Any) -> tuple[Fraction, Fraction]:
    """Return the least and the greatest multiple of `q` within the bounds."""
    low, high, step = (_number(value, name) for value, name in ((low, "min"), (high, "max"), (q, "q")))
    if step <= 0:
        raise SpaceError(f"`q` must be positive, got {show(q)}.")
    first, last = math.ceil(low / step) * step, math.floor(high / step) * step
    if first >= last:
        raise SpaceError(
            f"fewer than two multiples of q={q!r} lie between `min` and `max`: use `value`, or a smaller `q`."
        )
    return first, last


def _number(value: Any, name: str) -> Fraction:
    if type(value) not in (int, float) or not math.isfinite(value):
        hint = " (YAML 1.1 reads 1e-5 as text: write 1.0e-5)" if isinstance(value, str) else ""
        raise SpaceError(f"`{name}` must be a finite number, got {show(value)}{hint}.")
    return Fraction(repr(value))


def _exp(exponent: Any, name: str, sign: int = 1) -> float:
    try:
        return math.exp(sign * float(_number(exponent, name)))
    except OverflowError:
        raise SpaceError(
            f"`{name}` is an exponent of e in this distribution, and {show(exponent)} is too large: did you "
            "mean the distribution with `_values` at the end of its name?"
        ) from None


_BOUNDS = ("min", "max")
_READERS: dict[str, tuple[Callable[..., Any], tuple[str, ...], tuple[str, ...]]] = {
    "categorical": (_values, ("values",), ()),
    "constant": (_constant, ("value",), ()),
    "uniform": (_uniform, _BOUNDS, ()),
    "int_uniform": (_int_uniform, _BOUNDS, ()),
    "q_uniform": (_q_uniform, _BOUNDS, ("q",)),
    "log_uniform_values": (_log_values, _BOUNDS, ()),
    "log_uniform": (_log_exponents, _BOUNDS, ()),
    "q_log_uniform_values": (_q_log_values, _BOUNDS, ("q",)),
    "q_log_uniform": (_q_log_exponents, _BOUNDS, ("q",)),
    "inv_log_uniform_values": (_log_values, _BOUNDS, ()),
    "inv_log_uniform": (_inverse_log_exponents, _BOUNDS, ()),
}
