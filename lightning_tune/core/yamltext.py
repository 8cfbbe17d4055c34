"""YAML as people write it: `1e-5` is a number, a date stays text, and a key that occurs twice is an error.

PyYAML follows YAML 1.1, where `1e-5` (without a dot) is text: the most frequent trap in a file of learning
rates.
"""

import re
from typing import Any

import yaml

from lightning_tune.core.plain import show
from lightning_tune.errors import SpaceError

_FLOAT = "tag:yaml.org,2002:float"
_DROPPED = ("tag:yaml.org,2002:timestamp", "tag:yaml.org,2002:value")
_EXPONENT = re.compile(r"^[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)[eE][-+]?[0-9]+$")


class _Loader(yaml.SafeLoader):
    """Plain values only, as `SafeLoader`; see the module for the differences."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        seen: list[Any] = []
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if any(type(key) is type(other) and key == other for other in seen):
                raise SpaceError(
                    f"the YAML text has the key {show(key)} twice (line {key_node.start_mark.line + 1})."
                )
            seen.append(key)
        return super().construct_mapping(node, deep=deep)


class _Dumper(yaml.SafeDumper):
    """Quotes all text that YAML 1.1 or `_Loader` would take for something else; writes no aliases."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _represent_text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    """Escape line breaks other than newline, which PyYAML would write as they are and read as blanks."""
    style = '"' if any(character in text for character in "\x85\u2028\u2029") else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _represent_text)
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag not in _DROPPED]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
for _kind in (_Loader, _Dumper):
    _kind.add_implicit_resolver(_FLOAT, _EXPONENT, list("-+0123456789."))


def load(text: str) -> Any:
    """Return what a YAML text holds.

    Raises:
        SpaceError: it is no YAML (with the line), or has a key twice.

    Example:
        >>> load("lr: 1e-5")
        {'lr': 1e-05}
    """
    if not isinstance(text, str):
        raise SpaceError(f"YAML must be given as text, got {show(text)} of type {type(text).__name__}.")
    try:
        return yaml.load(text, Loader=_Loader)  # noqa: S506  # a SafeLoader
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        if isinstance(error, SpaceError):
            raise
        raise SpaceError(f"this is no YAML that can be read: {' '.join(str(error).split())}") from error


def dump(data: Any) -> str:
    """Return plain data as YAML, in its own order.

    Example:
        >>> print(dump({"rate": "1e-5", "sizes": [1, 2]}), end="")
        rate: '1e-5'
        sizes: [1, 2]
    """
    return yaml.dump(
        data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, default_flow_style=None, width=110
    )
