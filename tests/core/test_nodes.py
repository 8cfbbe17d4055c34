"""The tree of a space: numbering, the walks over it, and what they say when something is missing."""

import pytest

from lightning_tune.core import nodes
from lightning_tune.core.choice import Choice, checked_spec
from lightning_tune.core.dimensions import Float, Int
from lightning_tune.errors import SpaceError

SPEC = {
    "lr": Float(0, 1),
    "opt": Choice(
        {"sgd": {"m": Float(0, 1), "kind": Choice({1: {"d": Int(0, 3)}, 2: {}})}, "adam": {"m": Int(1, 4)}}
    ),
    "k": 3,
    "act": Choice(["relu", "gelu"]),
}
TREE = nodes.build(checked_spec(SPEC, "a space"))


def test_dimensions_are_numbered_depth_first():
    found = [(node.label, node.axis) for node in nodes.walk(TREE)]
    assert found == [
        ("lr", 0),
        ("opt", 1),
        ("m (opt='sgd')", 2),
        ("kind (opt='sgd')", 3),
        ("d (opt='sgd', kind=1)", 4),
        ("m (opt='adam')", 5),
        ("k", -1),
        ("act", 6),
    ]


def test_a_choice_whose_options_bring_nothing_has_no_branches():
    assert TREE[3].branches == ()
    assert [len(branch) for branch in TREE[1].branches] == [2, 1]


@pytest.mark.parametrize(
    ("units", "config"),
    [
        (
            [0.5, 0.1, 0.25, 0.2, 0.9, 9, 0.9],
            {"lr": 0.5, "opt": "sgd", "m": 0.25, "kind": 1, "d": 3, "k": 3, "act": "gelu"},
        ),
        (
            [0.5, 0.1, 0.25, 0.8, 0.9, 9, 0.9],
            {"lr": 0.5, "opt": "sgd", "m": 0.25, "kind": 2, "k": 3, "act": "gelu"},
        ),
        ([-1, 2, 0.25, 0.8, 0.9, 0.3, 0.9], {"lr": 0.0, "opt": "adam", "m": 2, "k": 3, "act": "gelu"}),
    ],
)
def test_decode_reads_the_active_axes_clips_and_keeps_the_order(units, config):
    found: dict = {}
    nodes.decode(TREE, units, found)
    assert list(found.items()) == list(config.items())


def test_decode_refuses_nan_where_it_matters():
    nan = float("nan")
    nodes.decode(TREE, [0, 0.9, nan, nan, nan, 0, 0], {})
    with pytest.raises(SpaceError, match=r"NaN at 2, where `m \(opt='sgd'\)` is active"):
        nodes.decode(TREE, [0, 0, nan, 0, 0, 0, 0], {})


def test_check_fills_in_constants_and_names_what_is_missing():
    found: dict = {}
    nodes.check(TREE, {"act": "relu", "m": 2, "opt": "adam", "lr": 1}, found)
    assert list(found.items()) == [("lr", 1.0), ("opt", "adam"), ("m", 2), ("k", 3), ("act", "relu")]
    with pytest.raises(SpaceError, match=r"lacks `lr`: give a value of Float\(0.0, 1.0\)"):
        nodes.check(TREE, {}, {})
    with pytest.raises(
        SpaceError, match=r"lacks `m` \(which opt='adam' brings\): give a value of Int\(1, 4\)"
    ):
        nodes.check(TREE, {"lr": 0, "opt": "adam"}, {})


@pytest.mark.parametrize("value", [4, 3.0, True, "3", None, [3], object(), float("nan")])
def test_a_constant_cannot_be_changed(value):
    with pytest.raises(SpaceError, match="`k` is the constant 3 of the space, got"):
        nodes.check(TREE, {"lr": 0, "opt": "adam", "m": 1, "act": "relu", "k": value}, {})


def test_active_visits_the_dimensions_of_the_options_taken():
    seen: list = []
    nodes.active(
        TREE,
        {"lr": 0.0, "opt": "sgd", "m": 0.0, "kind": 2, "k": 3, "act": "relu"},
        lambda node: seen.append(node.axis),
    )
    assert seen == [0, 1, 2, 3, 6]
