"""YAML as people write it."""

import hypothesis.strategies as st
import pytest
import yaml
from hypothesis import example, given

from lightning_tune.core.plain import identity
from lightning_tune.core.yamltext import dump, load
from lightning_tune.errors import SpaceError

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
DATA = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), TEXT
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(TEXT, inner, max_size=4)),
    max_leaves=12,
)


@given(DATA)
@example(
    ["1e-5", "1e5", 1e-5, "2020-01-01", "on", "no", "~", "=", "", "1:30", "0x1F", "010", ".5e3", "null", "<<"]
)
@example({"a\x85b": "\u2028", "\ufeff": "\x7f\t", "🙂": "- : #"})
def test_what_is_dumped_loads_the_same(data):
    assert identity(load(dump(data))) == identity(data)


@given(DATA)
def test_plain_yaml_readers_read_what_is_dumped(data):
    assert identity(yaml.safe_load(dump(data))) == identity(data)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-5", 1e-5),
        ("+1E5", 1e5),
        ("-.5e3", -500.0),
        ("1.e2", 100.0),
        ("10", 10),
        ("1.5", 1.5),
        ("1e", "1e"),
        ("e5", "e5"),
        ("2020-01-01", "2020-01-01"),
        ("=", "="),
        ("", None),
    ],
)
def test_scalars(text, value):
    assert identity(load(text)) == identity(value)


def test_no_aliases_are_written():
    shared = [1, 2]
    assert "&" not in dump([shared, shared])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: 1\nb: 2\na: 3", r"the key 'a' twice \(line 3\)"),
        ("a: {b: 1, b: 2}", "the key 'b' twice"),
        ("a: [1", "no YAML.*line 1"),
        ("a: !!python/object:os.system {}", "no YAML"),
        ("a: \x00", "no YAML"),
        ("[" * 5000, "no YAML"),
        ("1: x\n1: y", "the key 1 twice"),
    ],
)
def test_bad_yaml_is_refused(text, words):
    with pytest.raises(SpaceError, match=words):
        load(text)


def test_what_is_no_text_is_refused():
    with pytest.raises(SpaceError, match="YAML must be given as text, got 3 of type int"):
        load(3)


def test_keys_of_different_types_are_different_keys():
    assert load("1: a\n'1': b") == {1: "a", "1": "b"}
