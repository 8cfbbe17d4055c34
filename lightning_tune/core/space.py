"""The search space: what may be tried, and the one place that knows which configurations are valid."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from lightning_tune.core import nodes, space_io, space_text, space_wandb, yamltext
from lightning_tune.core.choice import Choice, Constant, Entries, all_keys, checked_spec, short_key
from lightning_tune.core.dimensions import Float, Int
from lightning_tune.core.events import JSON, Config
from lightning_tune.core.grid import DEFAULT_POINTS, Grid, cardinality
from lightning_tune.core.nodes import Node
from lightning_tune.core.plain import copied, did_you_mean, show
from lightning_tune.errors import SpaceError

__all__ = ["Choice", "Float", "Int", "Space"]


class Space:
    """A search space: keys, each with a dimension or a constant.

    A key without a prefix (or with `model.`, its long form) is an argument of the LightningModule, `data.`
    one of the datamodule, `trainer.` one of the Trainer; further dots name nested arguments. A configuration
    is a flat dict of plain JSON values, in which keys that belong to an option not taken are absent.

    Args:
        spec: a mapping from key to `Float`, `Int`, `Choice` or a constant, which is any plain JSON value.

    Raises:
        SpaceError: the space is empty, a key is bad or could be active twice at once, or a value is neither a
            dimension nor plain JSON.

    Example:
        >>> opt = Choice({"sgd": {"momentum": Float(0, 1)}, "adam": {}})
        >>> space = Space({"lr": Float(1e-4, 1e-2, log=True), "opt": opt})
        >>> space.default()
        {'lr': 0.001, 'opt': 'sgd', 'momentum': 0.5}
        >>> space.validate({"lr": 1e-3, "opt": "adam"})
        {'lr': 0.001, 'opt': 'adam'}
    """

    __slots__ = ("_centre", "_entries", "_hash", "_keys", "_nodes", "_size")
    _entries: Entries
    _nodes: tuple[Node, ...]
    _keys: frozenset[str]
    _size: int
    _centre: tuple[float, ...]
    _hash: int

    def __init__(self, spec: Mapping[str, Any]) -> None:
        entries = checked_spec(spec, "a space")
        if not entries:
            raise SpaceError(
                'a space must have at least one key, e.g. Space({"lr": Float(1e-4, 1e-1, log=True)}).'
            )
        tree = nodes.build(entries)
        axes = [node.dimension for node in nodes.walk(tree) if node.dimension is not None]
        first = [isinstance(axis, Choice) and not axis.ordered for axis in axes]
        for name, value in {
            "_entries": entries,
            "_nodes": tree,
            "_keys": frozenset(all_keys(entries)),
            "_size": len(axes),
            "_centre": tuple(0.0 if unordered else 0.5 for unordered in first),
            "_hash": hash(tuple(entries.items())),
        }.items():
            object.__setattr__(self, name, value)

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(
            f"a Space cannot be changed: make a new one, Space({{**space.spec, {name!r}: ...}})."
        )

    def __delattr__(self, name: str) -> None:
        raise AttributeError("a Space cannot be changed.")

    def __reduce__(self) -> tuple[type["Space"], tuple[Entries]]:
        return Space, (self._entries,)

    # -- as a container of keys

    @property
    def spec(self) -> dict[str, Any]:
        """The keys at the top with their dimensions and constants: `Space(space.spec) == space`."""
        return {key: copied(e.value) if isinstance(e, Constant) else e for key, e in self._entries.items()}

    @property
    def nodes(self) -> tuple[Node, ...]:
        """The space as a tree with numbered dimensions, for `Encoding` and whoever walks it."""
        return self._nodes

    @property
    def cardinality(self) -> int | None:
        """How many configurations there are; None where a dimension is continuous."""
        return cardinality(self._nodes)

    def keys(self) -> list[str]:
        """Return every key that can occur, in the space's order, those below options included."""
        return list(dict.fromkeys(node.key for node in nodes.walk(self._nodes)))

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __contains__(self, key: object) -> bool:
        return key in self._entries

    # -- configurations

    def validate(self, config: Mapping[str, Any]) -> Config:
        """Return a configuration checked and normalised: short keys, the space's order, plain copies.

        An int for a `Float` becomes a float; constants that are missing are filled in.

        Raises:
            SpaceError: a key is missing, unknown or belongs to an option not taken, or a value is not one of
                its dimension's; names the key.
        """
        if not isinstance(config, Mapping):
            raise SpaceError(f"a configuration must be a dict from key to value, got {show(config)}.")
        if any(type(key) is not str or key.startswith("model.") for key in config):
            config = _shortened(config)
        if not self._keys.issuperset(config):
            unknown = next(key for key in config if key not in self._keys)
            raise SpaceError(f"the space has no key `{unknown}`.{did_you_mean(unknown, self._keys)}")
        checked: Config = {}
        nodes.check(self._nodes, config, checked)
        if not config.keys() <= checked.keys():
            raise self._inactive(next(key for key in config if key not in checked), checked)
        return checked

    def contains(self, config: Mapping[str, Any]) -> bool:
        """Return whether this is a whole, valid configuration of the space, its constants included."""
        try:
            return len(self.validate(config)) == len(config)
        except SpaceError:
            return False

    def fits(self, config: Mapping[str, Any]) -> bool:
        """Return whether a configuration tried under another version of the space is valid under this one."""
        return self.contains(config)

    def sample(self, rng: np.random.Generator) -> Config:
        """Draw a configuration: uniform in the transformed space, every option of a choice equally likely.

        It takes one number a dimension from `rng`, whichever are active.
        """
        config: Config = {}
        nodes.decode(self._nodes, rng.random(self._size).tolist(), config)
        return config

    def default(self) -> Config:
        """Return the centre of every dimension: a choice's first option, the middle one if it is ordered."""
        config: Config = {}
        nodes.decode(self._nodes, self._centre, config)
        return config

    def grid(self, points: int | Mapping[str, int] = DEFAULT_POINTS) -> Iterator[Config]:
        """Yield every combination of evenly spaced values, one configuration at a time.

        The order is that of nested loops, the first key outermost; below each option of a choice run the keys
        that it brings.

        Args:
            points: values a `Float` or `Int` (or a mapping from key to that number; 5 for the others), evenly
                spaced in the transformed space with both bounds among them, the centre for one point.
                Dimensions with fewer values, and choices, are listed whole.

        Raises:
            ArgumentError: a number below 1, or a key that is no `Float` or `Int` of the space.
        """
        return iter(Grid(self._nodes, points))

    def grid_size(self, points: int | Mapping[str, int] = DEFAULT_POINTS) -> int:
        """Return how many configurations `grid(points)` yields, without listing them."""
        return Grid(self._nodes, points).size

    # -- reading and writing

    def to_json(self) -> dict[str, JSON]:
        """Return the space as plain JSON (the form is described in `core/space_io.py`)."""
        return space_io.to_json(self._entries)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Space":
        """Return the space that `to_json` wrote."""
        return cls(space_io.from_json(data))

    def to_yaml(self) -> str:
        """Return what `to_json` returns, as YAML text."""
        return yamltext.dump(self.to_json())

    @classmethod
    def from_yaml(cls, text: str) -> "Space":
        """Return the space that a YAML text describes, in the form of `to_json`.

        Example:
            >>> Space.from_yaml("lr: {type: float, low: 1e-5, high: 1e-1, log: true}")
            Space({'lr': Float(1e-05, 0.1, log=True)})
        """
        return cls.from_json(yamltext.load(text))

    @classmethod
    def from_wandb(cls, parameters: Mapping[str, Any] | str) -> "Space":
        """Return the space of a W&B sweep: its `parameters:` section or the whole, as a mapping or YAML text.

        Nested `parameters` become dotted keys. With `q_log_uniform_values` and a `q` other than 1 the
        multiples of `q` become an ordered `Choice`, thinned out towards the top so that their ratio is about
        constant.

        Raises:
            SpaceError: a distribution that a space lacks (normal, beta, probabilities, ...); names it and the
                key.

        Example:
            >>> Space.from_wandb("lr: {distribution: log_uniform_values, min: 1e-5, max: 0.1}")
            Space({'lr': Float(1e-05, 0.1, log=True)})
        """
        return cls(space_wandb.from_wandb(parameters))

    # -- as people see it

    def describe(self, config: Mapping[str, JSON]) -> str:
        """Return a configuration as short text in the space's order, without constants: "lr=0.003 n=64"."""
        return space_text.describe(self._nodes, config)

    def diff(self, other: "Space") -> list[str]:
        """Return a sentence for each difference; this space is the one before, `other` the one after."""
        return space_text.diff(self._nodes, other._nodes)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Space):
            return NotImplemented
        return tuple(self._entries.items()) == tuple(other._entries.items())

    def __hash__(self) -> int:
        return self._hash

    def __repr__(self) -> str:
        return f"Space({self._entries!r})"

    def _repr_html_(self) -> str:
        return space_text.table(self._nodes)

    def _inactive(self, key: str, config: Config) -> SpaceError:
        """Return the error for a key that belongs to an option which the configuration does not take."""
        paths = [node.path for node in nodes.walk(self._nodes) if node.key == key]
        wanted = " or ".join(
            " and ".join(f"{name}={show(option, 40)}" for name, option in path) for path in paths
        )
        name = next(name for path in paths for name, _ in path if name in config)
        return SpaceError(
            f"`{key}` exists only under {wanted}, but the configuration has {name}={show(config[name], 40)}: "
            f"leave it out."
        )


def _shortened(config: Mapping[Any, Any]) -> Config:
    """Return a configuration with short keys."""
    short: Config = {}
    for given, value in config.items():
        key = short_key(given)
        if key in short:
            raise SpaceError(
                f"`{key}` is given twice ('model.' is the long form of no prefix): leave one out."
            )
        short[key] = value
    return short
