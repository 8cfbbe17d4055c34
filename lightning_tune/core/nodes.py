"""A space as a tree of nodes with numbered dimensions, and the walks over it: fill in, read off, check.

The order is depth first: a choice, then what its first option brings, then the second, then the next key.
Every configuration has its keys in this order, and the unit cube its axes.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

from lightning_tune.core.bins import bin_index
from lightning_tune.core.choice import Choice, Constant, Dimension, Entries
from lightning_tune.core.events import JSON, Config
from lightning_tune.core.plain import checked, copied, identity, show
from lightning_tune.errors import SpaceError

Path: TypeAlias = tuple[tuple[str, JSON], ...]
"""The options that a dimension exists under: (key, option) from the outermost in; empty at the top."""


class Node(NamedTuple):
    """A key at one place of a space.

    `axis` is its number in the unit cube, -1 for a constant; `constant` is None for a dimension; `branches`
    has the nodes below each option of a choice, and is empty where no option brings any.
    """

    key: str
    axis: int
    dimension: Dimension | None
    constant: JSON
    branches: tuple[tuple["Node", ...], ...]
    path: Path

    @property
    def label(self) -> str:
        """The key, and where it exists: `momentum (optimizer='sgd')`."""
        where = ", ".join(f"{key}={show(option, 40)}" for key, option in self.path)
        return f"{self.key} ({where})" if where else self.key


def build(entries: Entries) -> tuple[Node, ...]:
    """Return the nodes of a checked specification, their dimensions numbered depth first."""
    return _build(entries, (), iter(range(_count(entries))))


def _count(entries: Entries) -> int:
    total = 0
    for entry in entries.values():
        total += not isinstance(entry, Constant)
        if isinstance(entry, Choice):
            total += sum(map(_count, entry.branches))
    return total


def _build(entries: Entries, path: Path, numbers: Iterator[int]) -> tuple[Node, ...]:
    nodes = []
    for key, entry in entries.items():
        if isinstance(entry, Constant):
            nodes.append(Node(key, -1, None, entry.value, (), path))
            continue
        index = next(numbers)
        branches: tuple[tuple[Node, ...], ...] = ()
        if isinstance(entry, Choice) and any(entry.branches):
            branches = tuple(
                _build(branch, (*path, (key, option)), numbers)
                for option, branch in zip(entry.options, entry.branches, strict=True)
            )
        nodes.append(Node(key, index, entry, None, branches, path))
    return tuple(nodes)


def walk(nodes: Sequence[Node]) -> Iterator[Node]:
    """Yield every node of a tree, depth first."""
    for node in nodes:
        yield node
        for branch in node.branches:
            yield from walk(branch)


def decode(nodes: Sequence[Node], units: Sequence[float], config: Config) -> None:
    """Fill a configuration in from one number in [0, 1] a dimension; inactive ones are not read."""
    for node in nodes:
        dimension = node.dimension
        if dimension is None:
            config[node.key] = copied(node.constant)
            continue
        unit = units[node.axis]
        if unit != unit:
            raise SpaceError(f"the vector is NaN at {node.axis}, where `{node.label}` is active.")
        unit = min(max(unit, 0.0), 1.0)
        config[node.key] = dimension.from_unit(unit)
        if node.branches:
            decode(node.branches[bin_index(unit, len(node.branches))], units, config)


def check(nodes: Sequence[Node], given: Mapping[str, Any], config: Config) -> None:
    """Fill a configuration in with the given values, each checked; constants may be left out.

    Raises:
        SpaceError: a value is missing or is none of its dimension; names the key.
    """
    for node in nodes:
        key = node.key
        if node.dimension is None:
            config[key] = _constant(node, given)
            continue
        if key not in given:
            where = "".join(f" (which {name}={show(option, 40)} brings)" for name, option in node.path[-1:])
            raise SpaceError(
                f"the configuration lacks `{key}`{where}: give a value of {show(node.dimension)}."
            )
        config[key] = node.dimension.check(given[key], key)
        if node.branches:
            check(branch_of(node, config), given, config)


def active(nodes: Sequence[Node], config: Mapping[str, Any], visit: Callable[[Node], None]) -> None:
    """Call `visit` for every dimension that is active in a checked configuration."""
    for node in nodes:
        if node.dimension is None:
            continue
        visit(node)
        if node.branches:
            active(branch_of(node, config), config, visit)


def branch_of(node: Node, config: Mapping[str, Any]) -> tuple[Node, ...]:
    """Return the nodes below the option that a configuration takes of a choice."""
    choice = node.dimension
    if not isinstance(choice, Choice):
        return ()
    return node.branches[choice.index(config[node.key], node.key)]


def _constant(node: Node, given: Mapping[str, Any]) -> JSON:
    """Return a constant, which a configuration may repeat but not change."""
    if node.key in given and not _same(given[node.key], node.constant):
        raise SpaceError(
            f"`{node.key}` is the constant {show(node.constant)} of the space, got {show(given[node.key])}."
        )
    return copied(node.constant)


def _same(value: Any, constant: JSON) -> bool:
    """Return whether a value is exactly the constant: of its type, too."""
    try:
        return identity(checked(value, "the value")) == identity(constant)
    except SpaceError:
        return False
