"""A space as plain JSON and YAML: written for people, read back exactly."""

import json

import pytest

from lightning_tune.core.space import Choice, Float, Int, Space
from lightning_tune.errors import SpaceError

SPACE = Space(
    {
        "lr": Float(1e-5, 0.1, log=True),
        "drop": Float(0, 0.5, step=0.1),
        "width": Int(16, 512, step=16),
        "act": Choice(["relu", None, 1, 1.0, True, [1, {"a": 2}]], ordered=True),
        "opt": Choice(
            {"sgd": {"m": Float(0, 1), "k": {"type": "int"}}, 1: {"m": Choice({None: {"z": 1}, False: {}})}}
        ),
        "constant": {"type": "float", "low": 0, "high": 1},
        "empty": {},
        "list": [{"type": "constant"}],
        "text": "1e-5",
    }
)


def test_the_form_is_plain_and_short():
    assert SPACE.to_json() == {
        "lr": {"type": "float", "low": 1e-5, "high": 0.1, "log": True},
        "drop": {"type": "float", "low": 0.0, "high": 0.5, "step": 0.1},
        "width": {"type": "int", "low": 16, "high": 512, "step": 16},
        "act": {"type": "choice", "options": ["relu", None, 1, 1.0, True, [1, {"a": 2}]], "ordered": True},
        "opt": {
            "type": "choice",
            "branches": [
                [
                    "sgd",
                    {
                        "m": {"type": "float", "low": 0.0, "high": 1.0},
                        "k": {"type": "constant", "value": {"type": "int"}},
                    },
                ],
                [1, {"m": {"type": "choice", "branches": [[None, {"z": 1}], [False, {}]]}}],
            ],
        },
        "constant": {"type": "constant", "value": {"type": "float", "low": 0, "high": 1}},
        "empty": {"type": "constant", "value": {}},
        "list": [{"type": "constant"}],
        "text": "1e-5",
    }


def test_round_trips_through_text():
    assert Space.from_json(json.loads(json.dumps(SPACE.to_json()))) == SPACE
    assert Space.from_yaml(SPACE.to_yaml()) == SPACE
    assert list(Space.from_yaml(SPACE.to_yaml())) == list(SPACE)


def test_what_is_written_shares_nothing_with_the_space():
    SPACE.to_json()["list"].append(1)
    SPACE.to_json()["act"]["options"][-1].append(1)
    assert Space.from_json(SPACE.to_json()) == SPACE
    assert SPACE.default()["list"] == [{"type": "constant"}]


def test_yaml_by_hand():
    text = """
    lr: {type: float, low: 1e-5, high: 1e-1, log: true}
    data.batch_size: {type: choice, options: [32, 64]}
    opt:
      type: choice
      branches:
        sgd: {momentum: {type: float, low: 0, high: 0.99}}
        adam: {}
    rates: [1e-3, 1e-4]
    """
    assert Space.from_yaml(text) == Space(
        {
            "lr": Float(1e-5, 0.1, log=True),
            "data.batch_size": Choice([32, 64]),
            "opt": Choice({"sgd": {"momentum": Float(0, 0.99)}, "adam": {}}),
            "rates": [1e-3, 1e-4],
        }
    )


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ([], "a space must be a dict"),
        ({}, "at least one key"),
        ({"a": {"low": 0}}, '`a` must have a "type" of'),
        ({"a": {"type": "flaot"}}, '`a` must have a "type" of'),
        ({"a": {"type": ["float"]}}, '`a` must have a "type" of'),
        ({"a": {"type": "float", "low": 0}}, '`a`: "high" is missing'),
        (
            {"a": {"type": "float", "low": 0, "high": 1, "stepp": 1}},
            "`a` has the field 'stepp'.*Did you mean `step`",
        ),
        ({"a": {"type": "float", "low": "0", "high": 1}}, "`a`: `low` must be a plain int or float"),
        ({"a": {"type": "int", "low": 0, "high": 1.5}}, "`a`: `high` must be a plain int"),
        ({"a": {"type": "int", "low": 0, "high": 1, "log": 1}}, "`a`: `log` must be True or False"),
        ({"a": {"type": "choice"}}, '`a`: a choice has either "options" or "branches"'),
        (
            {"a": {"type": "choice", "options": [], "branches": []}},
            '`a`: a choice has either "options" or "branches"',
        ),
        ({"a": {"type": "choice", "options": {"x": {}}}}, '`a`: "options" must be a list'),
        ({"a": {"type": "choice", "options": [1, 1]}}, "`a`: `options` holds 1 twice"),
        ({"a": {"type": "choice", "branches": [["x"]]}}, '`a`: "branches" must be a list of pairs'),
        ({"a": {"type": "choice", "branches": [[[1], {}]]}}, '`a`: an option in "branches" must be text'),
        ({"a": {"type": "choice", "branches": [[1, {}], [True, {}]]}}, "`a`:.*the option True twice"),
        (
            {"a": {"type": "choice", "branches": [["x", {"b": {"type": "float", "low": 1, "high": 0}}]]}},
            "`a`: under the option 'x': `b`: `low` must be below `high`",
        ),
        ({"a": {"type": "constant"}}, '`a`: "value" is missing'),
        ({"a": {"type": "constant", "value": float("nan")}}, "`a` must be finite"),
    ],
)
def test_what_has_not_the_form_is_refused_with_its_key(data, words):
    with pytest.raises(SpaceError, match=words):
        Space.from_json(data)


@pytest.mark.parametrize(
    ("text", "words"),
    [("3", "must be a dict"), ("", "must be a dict"), ("a: [", "no YAML"), ("{a: 1, a: 2}", "twice")],
)
def test_yaml_that_is_no_space_is_refused(text, words):
    with pytest.raises(SpaceError, match=words):
        Space.from_yaml(text)
