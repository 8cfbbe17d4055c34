"""Properties of spaces of any shape: round trips, bounds, sampling, grids, reading and writing."""

import itertools
import json

import hypothesis.strategies as st
import numpy as np
from hypothesis import HealthCheck, assume, given, settings

from lightning_tune.core.encode import Encoding
from lightning_tune.core.nodes import walk
from lightning_tune.core.plain import identity
from lightning_tune.core.rng import generator
from lightning_tune.core.space import Choice, Float, Int, Space

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=5)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63) + 1, 2**63 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    TEXT,
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(TEXT, inner, max_size=2),
    max_leaves=4,
)
PREFIXES = st.sampled_from(["", "data.", "trainer.", "encoder."])
UNITS = st.one_of(st.floats(0, 1), st.sampled_from([0.0, 1.0, 5e-324, np.nextafter(1, 0)]))


def config_key(config):
    """Return one text for equal configurations, in which 1, 1.0 and true differ."""
    return json.dumps(config, sort_keys=True)


@st.composite
def floats(draw):
    low = draw(st.floats(-1e6, 1e6, allow_subnormal=False))
    width = draw(st.floats(1e-3, 1e6))
    if draw(st.booleans()):
        low = abs(low) + 1e-6
        return Float(low, low + width, log=True)
    return Float(low, low + width, step=draw(st.one_of(st.none(), st.just(width / 7))))


@st.composite
def ints(draw):
    if draw(st.booleans()):
        low = draw(st.integers(1, 100))
        return Int(low, low + draw(st.integers(1, 2**39)), log=True)
    low, width = (
        draw(st.integers(-(2**60), 2**60)),
        draw(st.one_of(st.integers(1, 9), st.integers(1, 2**53 - 1))),
    )
    return Int(low, low + width, step=draw(st.one_of(st.none(), st.integers(1, width))))


@st.composite
def entries(draw, depth, first):
    """A specification whose keys are numbered from `first`, and the first number after them.

    The branches of a choice number theirs from the same number, so that keys occur in several.
    """
    spec, number = {}, first
    for _ in range(draw(st.integers(0 if first else 1, 3))):
        key = f"{draw(PREFIXES)}k{number}"
        number += 1
        kind = draw(st.sampled_from(["float", "int", "choice", "constant"] + ["branches"] * (depth > 0)))
        if kind == "branches":
            options = draw(st.lists(SCALARS, min_size=1, max_size=3, unique_by=lambda value: (value,)))
            branches = [draw(entries(depth - 1, number)) for _ in options]
            branches = [(unique_keys(branch, number), after) for branch, after in branches]
            spec[key] = Choice(
                dict(zip(options, (branch for branch, _ in branches), strict=True)),
                ordered=draw(st.booleans()),
            )
            number = max(after for _, after in branches)
        elif kind == "choice":
            options = draw(st.lists(VALUES, min_size=1, max_size=4, unique_by=identity))
            spec[key] = Choice(options, ordered=draw(st.booleans()))
        else:
            spec[key] = draw({"float": floats(), "int": ints(), "constant": VALUES}[kind])
    return spec, number


def unique_keys(spec, first):
    """Give a branch unprefixed keys, so that its numbers are the whole of its names."""
    return {key.rpartition(".")[2]: value for key, value in spec.items()}


SPACES = entries(2, 0).map(lambda drawn: Space(drawn[0]))
SEEDS = st.integers(0, 2**32 - 1)
quick = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


@quick
@given(SPACES, SEEDS)
def test_what_is_sampled_is_valid_and_already_normal(space, seed):
    config = space.sample(generator(seed, "sample"))
    assert config_key(space.validate(config)) == config_key(config)
    assert list(space.validate(config)) == list(config)
    assert space.contains(config)
    assert set(config) <= set(space.keys())
    assert config_key(json.loads(json.dumps(config))) == config_key(config)
    assert space.contains(space.default())


@quick
@given(SPACES, st.data())
def test_any_vector_decodes_within_the_bounds_and_comes_back(space, data):
    encoding = Encoding(space)
    vector = np.array(data.draw(st.lists(UNITS, min_size=encoding.size, max_size=encoding.size)))
    config = encoding.decode(vector)
    assert space.contains(config)
    again = encoding.encode(config)
    assert again.shape == (encoding.size,)
    mask = encoding.active(config)
    assert np.array_equal(mask, ~np.isnan(again))
    assert np.array_equal(mask, encoding.active(vector))
    assert np.all((again[mask] >= 0) & (again[mask] <= 1))
    back = encoding.decode(again)
    assert back.keys() == config.keys()
    active = {node.key: node.dimension for node in walk(space.nodes) if node.dimension and mask[node.axis]}
    for key, value in config.items():
        if isinstance(active.get(key), Float) and active[key].num_values is None:
            assert abs(back[key] - value) <= 1e-12 * scale_of(active[key], value)
        else:
            assert identity(back[key]) == identity(value)


def scale_of(dimension, value):
    """Return what the error is relative to: [0, 1] has no finer grain near a 0 between the bounds."""
    near_zero = not dimension.log and dimension.low < 0
    return max(abs(dimension.low), abs(dimension.high)) if near_zero else abs(value)


@quick
@given(SPACES, SEEDS)
def test_sampling_is_decoding_uniform_numbers(space, seed):
    encoding = Encoding(space)
    units = generator(seed, "x").random(encoding.size)
    assert config_key(encoding.decode(units)) == config_key(space.sample(generator(seed, "x")))


@quick
@given(SPACES, st.integers(1, 3))
def test_the_grid_has_its_size_and_its_configurations_are_valid_and_different(space, points):
    size = space.grid_size(points)
    assume(size <= 400)
    configs = list(space.grid(points))
    assert len(configs) == size
    assert len({config_key(config) for config in configs}) == size
    assert all(space.contains(config) for config in configs)


@quick
@given(SPACES)
def test_the_grid_of_a_small_finite_space_is_all_of_it(space):
    number = space.cardinality
    assume(number is not None and number <= 200)
    assert len({config_key(config) for config in space.grid(number)}) == number


@quick
@given(SPACES)
def test_a_grid_that_begins_is_lazy(space):
    assert 1 <= len(list(itertools.islice(space.grid(5), 10))) <= 10


@quick
@given(SPACES)
def test_reading_what_was_written(space):
    text = json.dumps(space.to_json(), allow_nan=False)
    for again in (Space.from_json(json.loads(text)), Space.from_yaml(space.to_yaml()), Space(space.spec)):
        assert again == space
        assert hash(again) == hash(space)
        assert again.diff(space) == []
        assert json.dumps(again.to_json()) == text


@quick
@given(SPACES, SPACES)
def test_spaces_differ_exactly_when_there_is_a_difference_to_tell(first, second):
    assert (first == second) == (first.diff(second) == [])


@quick
@given(SPACES, SEEDS)
def test_a_missing_and_an_unknown_key_are_always_found(space, seed):
    config = space.sample(generator(seed, "sample"))
    assert not space.contains({**config, "unknown": 1})
    for key in config:
        assert not space.contains({name: value for name, value in config.items() if name != key})
