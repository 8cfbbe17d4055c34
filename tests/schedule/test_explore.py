import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lightning_tune.core.space import Choice, Float, Int, Space
from lightning_tune.schedule.explore import Explorer
from lightning_tune.testing.searcher_contract import MIXED

KEEP = Explorer(factors=(0.8, 1.2), resample=0.0)


def explored(dimension, value, explorer=KEEP, draws=200):
    """Return the set of values that a dimension's value moves to."""
    space = Space({"x": dimension})
    return {explorer(space, {"x": value}, np.random.default_rng(seed))["x"] for seed in range(draws)}


@settings(max_examples=300, deadline=None)
@given(
    st.integers(0, 2**32),
    st.floats(0, 1),
    st.lists(st.floats(0.01, 100), min_size=1, max_size=3),
    st.booleans(),
)
def test_what_is_explored_is_a_configuration_of_the_space(seed, resample, factors, twice):
    rng = np.random.default_rng(seed)
    explorer, config = Explorer(factors=factors, resample=resample), MIXED.sample(rng)
    config = explorer(MIXED, explorer(MIXED, config, rng) if twice else config, rng)
    assert MIXED.validate(config) == config
    assert list(config) == list(MIXED.validate(config))


@pytest.mark.parametrize(
    ("dimension", "value", "expected"),
    [
        (Float(0.0, 10.0), 5.0, {4.0, 6.0}),
        (Float(1e-4, 1.0, log=True), 0.01, {0.008, 0.012}),
        (Float(0.0, 10.0), 9.0, {7.2, 10.0}),
        (Float(4.5, 10.0), 5.0, {4.5, 6.0}),
        (Float(-10.0, 10.0), -5.0, {-4.0, -6.0}),
        (Float(0.0, 10.0), 0.0, {0.0}),
        (Float(0.0, 0.5, step=0.1), 0.2, {0.1, 0.3}),
        (Float(0.0, 0.5, step=0.1), 0.5, {0.4, 0.5}),
        (Float(0.0, 0.5, step=0.1), 0.0, {0.0, 0.1}),
        (Float(-1.0, 1.0, step=0.5), -1.0, {-1.0, -0.5}),
        (Float(1e308, 1.7e308, step=1e306), 1.7e308, {1.36e308, 1.7e308}),
        (Int(1, 100), 50, {40, 60}),
        (Int(1, 100, log=True), 2, {1, 3}),
        (Int(1, 8), 1, {1, 2}),
        (Int(0, 100, step=10), 50, {40, 60}),
        (Int(0, 95, step=10), 90, {70, 90}),
        (Choice([1, 2, 4], ordered=True), 2, {1, 4}),
        (Choice([1, 2, 4], ordered=True), 1, {2}),
        (Choice([1, 2, 4], ordered=True), 4, {2}),
        (Choice([1], ordered=True), 1, {1}),
        (Choice(["a", "b"]), "b", {"b"}),
    ],
)
def test_values_move_within_their_dimension(dimension, value, expected):
    assert explored(dimension, value) == expected
    assert {type(moved) for moved in explored(dimension, value)} == {type(value)}


def test_a_factor_of_one_changes_nothing():
    still = Explorer(factors=(1.0,), resample=0.0)
    assert explored(Float(0.0, 1.0), 0.3, still) == {0.3}
    assert explored(Int(1, 9), 3, still) == {3}


def test_resampling_draws_from_the_whole_dimension():
    anew = Explorer(factors=(1.0,), resample=1.0)
    assert explored(Choice(["a", "b", "c"]), "a", anew) == {"a", "b", "c"}
    assert explored(Int(1, 4), 1, anew) == {1, 2, 3, 4}
    drawn = [*explored(Float(1e-4, 1.0, log=True), 1.0, anew, draws=1000)]
    assert 0.45 < np.mean(np.array(drawn) < 0.01) < 0.55


def test_resampling_happens_as_often_as_it_says():
    space, explorer = Space({"x": Float(0.0, 1.0)}), Explorer(factors=(1.0,), resample=0.25)
    rng = np.random.default_rng(0)
    moved = [explorer(space, {"x": 0.5}, rng)["x"] != 0.5 for _ in range(4000)]
    assert 0.22 < np.mean(moved) < 0.28


def test_another_option_brings_its_own_keys_drawn_anew():
    """A key of the same name under another option is another dimension."""
    space = Space(
        {
            "opt": Choice(
                {"sgd": {"rate": Float(0.0, 1.0)}, "adam": {"rate": Float(2.0, 3.0), "beta": Int(1, 2)}}
            )
        }
    )
    explorer = Explorer(factors=(1.0,), resample=0.5)
    seen = set()
    for seed in range(200):
        config = explorer(space, {"opt": "sgd", "rate": 0.5}, np.random.default_rng(seed))
        assert space.contains(config)
        seen.add(config["opt"])
    assert seen == {"sgd", "adam"}
