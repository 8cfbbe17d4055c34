"""A space and its configurations as people read them: a line, a list of differences, a table."""

import json
from collections.abc import Iterable, Mapping, Sequence
from html import escape

from lightning_tune.core.choice import Choice
from lightning_tune.core.events import JSON
from lightning_tune.core.nodes import Node, walk
from lightning_tune.core.plain import identity, show


def describe(nodes: Sequence[Node], config: Mapping[str, JSON]) -> str:
    """Return a configuration as short text in the space's order; constants left out, foreign keys last."""
    keys = dict.fromkeys(node.key for node in walk(nodes) if node.dimension is not None)
    constants = {node.key for node in nodes if node.dimension is None}
    order = [*keys, *(key for key in config if key not in keys and key not in constants)]
    return " ".join(f"{key}={_short(config[key])}" for key in order if key in config)


def _short(value: JSON) -> str:
    if isinstance(value, float):
        return f"{value:.3g}"
    if isinstance(value, str) and value and value.isprintable() and not any(map(str.isspace, value)):
        return value
    return json.dumps(value, ensure_ascii=False) if not isinstance(value, str) else json.dumps(value)


def diff(before: Sequence[Node], after: Sequence[Node]) -> list[str]:
    """Return a sentence for each difference between two spaces; none where they are equal."""
    old, new = ({_place(node): node for node in walk(nodes)} for nodes in (before, after))
    sentences = [
        f"`{node.label}` was removed: it was {_kind(node)}."
        for place, node in old.items()
        if place not in new
    ]
    sentences += [
        f"`{node.label}` was added: {_kind(node)}." for place, node in new.items() if place not in old
    ]
    for place, node in old.items():
        if place in new:
            sentences += _changes(node, new[place])
    if not sentences and list(old) != list(new):
        was, now = (", ".join(node.key for node in places.values()) for places in (old, new))
        sentences.append(f"The keys are in another order: {was} became {now}.")
    return sentences


def _place(node: Node) -> tuple[object, ...]:
    return (node.key, *((key, identity(option)) for key, option in node.path))


def _changes(old: Node, new: Node) -> Iterable[str]:
    first, second = old.dimension, new.dimension
    if isinstance(first, Choice) and isinstance(second, Choice):
        return _option_changes(old.label, first, second)
    if first is None and second is None:
        same = identity(old.constant) == identity(new.constant)
    else:
        same = first == second
    return [] if same else [f"`{old.label}` changed: {_kind(old)} became {_kind(new)}."]


def _option_changes(label: str, old: Choice, new: Choice) -> Iterable[str]:
    was, now = ({identity(option): show(option, 40) for option in choice.options} for choice in (old, new))
    gone = [text for key, text in was.items() if key not in now]
    come = [text for key, text in now.items() if key not in was]
    if gone:
        yield f"`{label}` lost {'the options' if len(gone) > 1 else 'the option'} {', '.join(gone)}."
    if come:
        yield f"`{label}` gained {'the options' if len(come) > 1 else 'the option'} {', '.join(come)}."
    if [key for key in was if key in now] != [key for key in now if key in was]:
        first, second = ", ".join(was.values()), ", ".join(now.values())
        yield f"`{label}` has its options in another order: {first} became {second}."
    if old.ordered != new.ordered:
        yield f"`{label}` is {'ordered' if new.ordered else 'no longer ordered'}."


def _kind(node: Node) -> str:
    """Return what a node is, without what its options bring (they have lines of their own)."""
    if node.dimension is None:
        return f"the constant {show(node.constant)}"
    if isinstance(node.dimension, Choice):
        return show(Choice(node.dimension.options, ordered=node.dimension.ordered), 200)
    return repr(node.dimension)


def table(nodes: Sequence[Node]) -> str:
    """Return an HTML table with a line for every key at every place; all text escaped."""
    rows = []
    for node in walk(nodes):
        where = ", ".join(f"{key} = {show(option, 40)}" for key, option in node.path)
        rows.append("".join(f"<td>{escape(text)}</td>" for text in (node.key, _kind(node), where)))
    body = "".join(f"<tr>{row}</tr>" for row in rows)
    head = "<tr><th>key</th><th>values</th><th>only under</th></tr>"
    return f"<table><thead>{head}</thead><tbody>{body}</tbody></table>"
