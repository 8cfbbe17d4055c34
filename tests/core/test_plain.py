"""Plain values: exactly what JSON brings back, and errors that say how to write the rest."""

import enum
import json
import pathlib

import numpy as np
import pytest

from lightning_tune.core.plain import checked, copied, did_you_mean, identity, show
from lightning_tune.errors import SpaceError


class Colour(enum.StrEnum):
    RED = "red"


@pytest.mark.parametrize(
    "value", [None, True, 0, -(2**63) + 1, 2**63 - 1, 0.1, "", "naïve 🙂", [], {}, [{"a": [None, 1.5]}]]
)
def test_plain_values_come_back_equal_and_through_json(value):
    result = checked(value, "x")
    assert identity(result) == identity(value)
    assert identity(json.loads(json.dumps(result))) == identity(value)


def test_the_result_shares_nothing_with_what_was_given():
    given = {"layers": [1, 2]}
    result = checked(given, "x")
    given["layers"].append(3)
    assert result == {"layers": [1, 2]}


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (np.float64(1.0), "call `.tolist()`"),
        (np.int64(1), "call `.tolist()`"),
        (np.zeros(2), "call `.tolist()`"),
        (np.str_("a"), "call `.tolist()`"),
        (Colour.RED, "write a plain str"),
        ((1, 2), "write a list"),
        ({1}, "write a list"),
        (pathlib.Path("a"), "write `str(path)`"),
        (int, "give its name as text"),
        (print, "give its name as text"),
        (float("nan"), "must be finite"),
        (float("-inf"), "must be finite"),
        (2**63, "must fit 64 bits"),
        ({1: 2}, "text alone as a key"),
        ("a\0b", "NUL"),
        ("\ud800", "surrogate"),
        (object(), "of type object"),
        (b"raw", "of type bytes"),
    ],
)
def test_other_values_are_refused_with_a_remedy(value, words):
    with pytest.raises(SpaceError, match="^`x`") as caught:
        checked(value, "`x`")
    assert words in str(caught.value)


def test_the_place_inside_a_nested_value_is_named():
    with pytest.raises(SpaceError, match=r"^`x`\['a'\]\[1\] must be finite"):
        checked({"a": [0, float("nan")]}, "`x`")


def test_a_list_that_contains_itself_is_refused():
    loop: list = []
    loop.append(loop)
    with pytest.raises(SpaceError, match="contains itself"):
        checked(loop, "x")


def test_identity_tells_types_apart():
    values = [1, 1.0, True, "1", [1], [1.0], [True], {"a": 1}, {"a": 1.0}, None, "None"]
    assert len({identity(value) for value in values}) == len(values)
    assert identity({"a": 1, "b": 2}) == identity({"b": 2, "a": 1})


def test_copied_is_deep():
    value = [[1]]
    copied(value)[0].append(2)
    assert value == [[1]]


def test_show_is_short_and_never_raises():
    class Rude:
        def __repr__(self):
            raise RuntimeError

    assert len(show("x" * 1000)) <= 80
    assert show(10**5000) == "a number of 16610 bits"
    assert show(Rude()) == "<Rude whose repr raises RuntimeError>"


def test_did_you_mean_names_the_nearest_or_lists_all():
    assert did_you_mean("learning_rat", ["learning_rate", "width"]) == " Did you mean `learning_rate`?"
    assert did_you_mean("zzz", ["b", "a"]) == " There are: `a`, `b`."
    assert did_you_mean("zzz", []) == ""
