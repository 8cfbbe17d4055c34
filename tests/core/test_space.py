"""`Space`: keys, validation, sampling, defaults, equality; reading and writing have their own files."""

import copy
import doctest
import importlib
import pickle
import time

import numpy as np
import pytest

from lightning_tune.core.rng import generator
from lightning_tune.core.space import Choice, Float, Int, Space
from lightning_tune.errors import SpaceError

OPTIMIZER = Choice(
    {"sgd": {"momentum": Float(0, 0.99)}, "adam": {"betas": Choice([[0.9, 0.99], [0.9, 0.999]])}}
)
SPACE = Space(
    {
        "model.lr": Float(1e-5, 1e-1, log=True),
        "width": Int(16, 512, log=True),
        "optimizer": OPTIMIZER,
        "data.batch_size": Choice([32, 64, 128], ordered=True),
        "trainer.gradient_clip_val": Float(0.1, 10, log=True),
        "depth": 3,
    }
)
ADAM = {
    "lr": 0.001,
    "width": 64,
    "optimizer": "adam",
    "betas": [0.9, 0.999],
    "data.batch_size": 32,
    "trainer.gradient_clip_val": 1.0,
    "depth": 3,
}


@pytest.mark.parametrize(
    "module", ["plain", "dimensions", "choice", "yamltext", "space", "encode", "objective", "rng"]
)
def test_the_examples_in_the_documentation_run(module):
    result = doctest.testmod(importlib.import_module(f"lightning_tune.core.{module}"))
    assert result.attempted > 0
    assert result.failed == 0


# -- keys


def test_keys_are_short_and_in_order():
    assert list(SPACE) == [
        "lr", "width", "optimizer", "data.batch_size", "trainer.gradient_clip_val", "depth",
    ]  # fmt: skip
    assert len(SPACE) == 6
    assert SPACE.keys()[:5] == ["lr", "width", "optimizer", "momentum", "betas"]
    assert "lr" in SPACE
    assert "momentum" not in SPACE
    assert Space({"o": Choice({1: {"m": 1}, 2: {"m": 2}})}).keys() == ["o", "m"]


@pytest.mark.parametrize("spec", [{}, None, [], [("lr", 1)], "lr"])
def test_an_empty_space_or_no_dict_is_refused(spec):
    with pytest.raises(SpaceError, match="a space must"):
        Space(spec)


def test_a_space_of_constants_has_one_configuration():
    space = Space({"a": 1, "b": {"type": "float"}})
    assert space.cardinality == 1
    assert space.sample(generator(0, "x")) == space.default() == {"a": 1, "b": {"type": "float"}}
    assert list(space.grid()) == [space.default()]


def test_a_space_cannot_be_changed():
    with pytest.raises(AttributeError, match="make a new one"):
        SPACE.lr = 1
    with pytest.raises(AttributeError, match="cannot be changed"):
        del SPACE.spec
    spec = {"k": [1]}
    space = Space(spec)
    spec["k"].append(2)
    space.spec["k"].append(3)
    space.default()["k"].append(4)
    space.sample(generator(0, "x"))["k"].append(5)
    assert space.default() == {"k": [1]}


def test_spec_rebuilds_and_amends():
    assert Space(SPACE.spec) == SPACE
    assert Space({**SPACE.spec, "depth": Int(1, 5)}) != SPACE


def test_equality_hash_pickle_and_copy():
    same = Space(SPACE.spec)
    assert hash(same) == hash(SPACE)
    assert pickle.loads(pickle.dumps(SPACE)) == SPACE == copy.deepcopy(SPACE)
    others = [
        {"a": Float(0, 1), "b": 1},
        {"b": 1, "a": Float(0, 1)},
        {"a": Float(0, 1), "b": 1.0},
        {"a": Float(0, 1), "b": True},
        {"a": Int(0, 1), "b": 1},
        {"a": Choice([0, 1]), "b": 1},
    ]
    assert len({Space(other) for other in others}) == len(others)
    assert SPACE != {"lr": 1}
    assert eval(repr(SPACE)) == SPACE


# -- validation


def test_validate_normalises():
    given = {"optimizer": "adam", "betas": [0.9, 0.999], "width": 64, "model.lr": 1e-3}
    given |= {"data.batch_size": 32, "trainer.gradient_clip_val": 1}
    result = SPACE.validate(given)
    assert list(result.items()) == list(ADAM.items())
    assert isinstance(result["trainer.gradient_clip_val"], float)
    result["betas"].append(1)
    assert given["betas"] == [0.9, 0.999]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"lr": None}, "`lr` must be a number from 1e-05 to 0.1, got None"),
        ({"lr": 1}, "`lr` must lie between 1e-05 and 0.1, got 1.0"),
        ({"width": 64.0}, "`width` must be an int from 16 to 512, got 64.0: write 64"),
        ({"width": np.int64(64)}, "`width` must be an int"),
        (
            {"optimizer": "adamw"},
            "`optimizer` must be one of 'sgd', 'adam', got 'adamw'. Did you mean 'adam'?",
        ),
        ({"data.batch_size": 33}, "`data.batch_size` must be one of 32, 64, 128, got 33"),
        ({"depth": 4}, "`depth` is the constant 3 of the space, got 4"),
        (
            {"momentum": 0.5},
            "`momentum` exists only under optimizer='sgd', but the configuration has optimizer='adam'",
        ),
        ({"batch_size": 32}, "no key `batch_size`. Did you mean `data.batch_size`?"),
        ({"model.lr": 0.01}, "`lr` is given twice"),
        ({3: 4}, "a key must be a non-empty text, got 3"),
        ({"optimizer": "sgd", "betas": [0.9, 0.999]}, "lacks `momentum` (which optimizer='sgd' brings)"),
    ],
)
def test_what_is_wrong_is_named(change, words):
    config = {**ADAM, **change}
    with pytest.raises(SpaceError) as caught:
        SPACE.validate(config)
    assert words in str(caught.value)
    assert not SPACE.contains(config)
    assert not SPACE.fits(config)


def test_a_missing_key_is_named():
    config = {key: value for key, value in ADAM.items() if key != "width"}
    with pytest.raises(SpaceError, match="lacks `width`: give a value of Int"):
        SPACE.validate(config)


@pytest.mark.parametrize("config", [None, 3, [("lr", 1)], "lr"])
def test_a_configuration_is_a_dict(config):
    with pytest.raises(SpaceError, match="a configuration must be a dict"):
        SPACE.validate(config)
    assert not SPACE.contains(config)


def test_contains_wants_the_constants_too():
    assert SPACE.contains(ADAM)
    without = {key: value for key, value in ADAM.items() if key != "depth"}
    assert SPACE.validate(without) == ADAM
    assert not SPACE.contains(without)


def test_fits_after_an_amendment():
    narrow = Space({**SPACE.spec, "width": Int(16, 32)})
    wide = Space({**SPACE.spec, "width": Int(1, 1024), "data.batch_size": Choice([16, 32, 64, 128])})
    fixed = Space({**SPACE.spec, "width": 64})
    added = Space({**SPACE.spec, "dropout": 0.1})
    assert [space.fits(ADAM) for space in (narrow, wide, fixed, added)] == [False, True, True, False]


def test_a_key_of_several_branches_means_that_of_the_option_taken():
    space = Space({"o": Choice({"a": {"m": Int(0, 3)}, "b": {"m": Float(5, 6)}, "c": {}})})
    assert space.validate({"o": "b", "m": 5}) == {"o": "b", "m": 5.0}
    with pytest.raises(SpaceError, match="`m` must be an int from 0 to 3, got 5.5"):
        space.validate({"o": "a", "m": 5.5})
    with pytest.raises(
        SpaceError, match="`m` exists only under o='a' or o='b', but the configuration has o='c'"
    ):
        space.validate({"o": "c", "m": 1})


def test_an_inactive_key_of_a_branch_below_an_inactive_branch():
    space = Space({"o": Choice({"a": {"p": Choice({1: {"q": Int(0, 3)}})}, "b": {}})})
    with pytest.raises(
        SpaceError, match="`q` exists only under o='a' and p=1, but the configuration has o='b'"
    ):
        space.validate({"o": "b", "q": 1})


# -- sampling, centre, grid


def test_sampling_depends_on_the_generator_alone_and_takes_one_number_a_dimension():
    first, second = generator(1, "s"), generator(1, "s")
    assert SPACE.sample(first) == SPACE.sample(second)
    second.random(6)
    first.random(6)
    assert SPACE.sample(first) == SPACE.sample(second)
    third = generator(1, "s")
    third.random(7)
    fourth = generator(1, "s")
    SPACE.sample(fourth)
    assert third.random() == fourth.random()


def test_sampling_is_uniform_in_the_transformed_space():
    space = Space(
        {
            "x": Float(1e-4, 1, log=True),
            "n": Int(3, 7),
            "c": Choice({"a": {"y": Float(-2, 2)}, "b": {}, "d": {}}),
        }
    )
    rng = generator(0, "uniform")
    configs = [space.sample(rng) for _ in range(6000)]
    logs = np.histogram([np.log10(c["x"]) for c in configs], bins=4, range=(-4, 0))[0] / 6000
    ints = np.bincount([c["n"] for c in configs], minlength=8)[3:] / 6000
    options = np.array([sum(c["c"] == o for c in configs) for o in "abd"]) / 6000
    inner = np.histogram([c["y"] for c in configs if "y" in c], bins=2, range=(-2, 2))[0]
    assert np.allclose(logs, 1 / 4, atol=0.03)
    assert np.allclose(ints, 1 / 5, atol=0.03)
    assert np.allclose(options, 1 / 3, atol=0.03)
    assert inner.sum() == sum(c["c"] == "a" for c in configs)
    assert np.allclose(inner / inner.sum(), 1 / 2, atol=0.05)


def test_default_is_the_centre():
    assert SPACE.default() == {
        "lr": 0.001,
        "width": 89,
        "optimizer": "sgd",
        "momentum": 0.495,
        "data.batch_size": 64,
        "trainer.gradient_clip_val": 1.0,
        "depth": 3,
    }


def test_grid_of_the_space():
    assert SPACE.grid_size(2) == 2 * 2 * (2 + 2) * 3 * 2
    assert (
        SPACE.grid_size({"lr": 3, "width": 1, "momentum": 4, "trainer.gradient_clip_val": 1})
        == 3 * (4 + 2) * 3
    )
    first = next(SPACE.grid(2))
    assert (first["lr"], first["width"], first["momentum"]) == (1e-5, 16, 0.0)


def test_sampling_and_validating_are_quick():
    kinds = [Float(0, 1), Int(1, 9, log=True), Choice(["a", "b", "c"])] * 4
    space = Space({f"k{number}": kind for number, kind in enumerate(kinds)})
    rng = generator(0, "speed")
    config = space.sample(rng)
    assert _best_s(lambda: space.sample(rng)) < 100e-6
    assert _best_s(lambda: space.validate(config)) < 100e-6


def _best_s(work):
    """Return the seconds one call takes, the best of many, so that a busy machine does not count."""
    times = []
    for _ in range(50):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)
