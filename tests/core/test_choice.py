"""`Choice` and the rules of a specification."""

import pickle

import numpy as np
import pytest

from lightning_tune.core.choice import Choice, Constant, all_keys, checked_spec, short_key
from lightning_tune.core.dimensions import Float, Int
from lightning_tune.errors import SpaceError

SGD = {"momentum": Float(0, 0.99)}


def test_options_stay_what_they_are():
    options = [1, 1.0, True, "1", None, [1, 2], {"a": 1}, {"a": 1.0}]
    choice = Choice(options)
    for position, option in enumerate(options):
        assert choice.index(option, "x") == position
        found = choice.check(option, "x")
        assert (type(found), found) == (type(option), option)
        assert choice.from_unit(choice.to_unit(option)) == option
        assert choice.to_unit(option) == pytest.approx((position + 0.5) / len(options), rel=1e-15)


def test_options_cannot_be_changed_from_outside():
    layers = [64, 64]
    choice = Choice([layers, [32]])
    layers.append(1)
    choice.from_unit(0.0).append(2)
    choice.check([64, 64], "x").append(3)
    assert choice.option(0) == [64, 64]


def test_equality_is_by_exact_value_order_and_branches():
    assert Choice([1, 2]) == Choice((1, 2)) == Choice(range(1, 3))
    assert hash(Choice([[1], {}])) == hash(Choice([[1], {}]))
    assert Choice({"a": {}, "b": {}}) == Choice(["a", "b"])
    others = [Choice([1.0, 2]), Choice([True, 2]), Choice([2, 1]), Choice([1, 2], ordered=True), Choice([1])]
    assert all(Choice([1, 2]) != other for other in others)
    assert Choice({"a": SGD}) != Choice(["a"])
    assert Choice([1]) != 1


def test_repr_and_pickle():
    for choice in (Choice([1, "a"], ordered=True), Choice({"sgd": SGD, None: {"k": 3}, 2: {}})):
        assert eval(repr(choice)) == choice
        assert pickle.loads(pickle.dumps(choice)) == choice


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ([], "at least one option"),
        ({}, "at least one option"),
        ("adam", "must be a list of values"),
        ({1, 2}, "must be a list of values"),
        (None, "must be a list of values"),
        ((i for i in range(3)), "must be a list of values"),
        ([1, 2, 1], "holds 1 twice"),
        ([[1], [1]], r"holds \[1\] twice"),
        ([np.int64(1)], r"`options\[0\]` must be a plain JSON value"),
        ([1, (2, 3)], r"`options\[1\]`.*write a list"),
        ([float("nan")], "must be finite"),
        ([Float(0, 1)], r"`options\[0\]` must be a plain JSON value"),
        ({"a": None}, "under the option 'a'.*must be a dict"),
        ({"a": {"x": Choice}}, "under the option 'a': `x` is the class Choice itself"),
        ({(1, 2): {}}, "write a list"),
    ],
)
def test_bad_options_are_refused(options, words):
    with pytest.raises(SpaceError, match=words):
        Choice(options)


def test_ordered_must_be_a_bool():
    with pytest.raises(SpaceError, match="`ordered` must be True or False, got 1"):
        Choice([1, 2], ordered=1)


@pytest.mark.parametrize(
    ("options", "value", "words"),
    [
        (["sgd", "adam"], "adm", "got 'adm'. Did you mean 'adam'?"),
        ([1, 2], 1.0, "Write 1: the option is of type int."),
        ([1, 2], True, "Write 1: the option is of type int."),
        ([[1, 2]], (1, 2), "Write a list."),
        ([1, 2], float("nan"), "must be one of 1, 2, got nan."),
        ([1, 2], {3}, "must be one of 1, 2, got {3}."),
        ([1, 2], object, "must be one of 1, 2, got <class 'object'>."),
        (list(range(100)), -1, ", ... (100 in all), got -1."),
    ],
)
def test_a_value_that_is_no_option_is_refused_with_the_options(options, value, words):
    with pytest.raises(SpaceError, match="^`x` must be one of") as caught:
        Choice(options).check(value, "x")
    assert words in str(caught.value)


def test_branches_hold_entries_with_short_keys():
    choice = Choice({"sgd": {"model.momentum": Float(0, 1), "depth": 3}, "adam": {}})
    assert choice.branches == ({"momentum": Float(0, 1), "depth": Constant(3)}, {})


@pytest.mark.parametrize(
    ("given", "short"),
    [
        ("lr", "lr"),
        ("model.lr", "lr"),
        ("model.a.b", "a.b"),
        ("data.x", "data.x"),
        ("trainer.x", "trainer.x"),
        ("data", "data"),
    ],
)
def test_short_keys(given, short):
    assert short_key(given) == short
    assert short_key(short) == short


@pytest.mark.parametrize(
    "key",
    ["", " ", "a..b", ".a", "a.", "model.", " a", "a ", "a\0", 3, None, "model.data.x", "model.model.x"],
)
def test_bad_keys_are_refused(key):
    with pytest.raises(SpaceError, match="key"):
        short_key(key)


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ([("lr", 1)], "must be a dict"),
        ({"lr": 1, "model.lr": 2}, "`lr` is given twice"),
        ({"a": {"b": Float(0, 1)}}, "nested argument as the key 'a.b'"),
        ({"a": [Float(0, 1)]}, "a list with dimensions inside"),
        ({"a": Float}, "is the class Float itself"),
        ({"a": lambda: 1}, "`a` must be a plain JSON value"),
        ({"momentum": 1, "o": Choice({"sgd": SGD})}, "`momentum` occurs on its own and under `o`"),
        ({"o": Choice({"sgd": SGD}), "p": Choice({"x": SGD})}, "`momentum` occurs under `o` and under `p`"),
        ({"o": Choice({"x": {"o": 1}})}, "`o` occurs again under one of its own options"),
        (
            {"o": Choice({"x": {"p": Choice({"y": {"o": 1}})}})},
            "`o` occurs again under one of its own options",
        ),
    ],
)
def test_bad_specifications_are_refused(spec, words):
    with pytest.raises(SpaceError, match=words):
        checked_spec(spec, "a space")


def test_a_key_may_occur_under_options_that_exclude_each_other():
    inner = Choice({"nesterov": SGD, "plain": {}})
    spec = checked_spec(
        {"o": Choice({"sgd": {"kind": inner}, "rmsprop": SGD, "lion": {"momentum": 0.9}})}, "a space"
    )
    assert all_keys(spec) == {"o", "kind", "momentum"}


def test_constants_compare_exactly():
    assert Constant(1) == Constant(1)
    assert len({Constant(1), Constant(1.0), Constant(True), Constant("1"), Constant([1])}) == 5
    assert Constant(1) != 1
    assert checked_spec({"n": Int(1, 2), "k": {"type": "x"}}, "a space")["k"] == Constant({"type": "x"})
