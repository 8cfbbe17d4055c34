"""`Encoding`: axes, values at known places, errors. Properties are in `test_space_properties.py`."""

import numpy as np
import pytest

from lightning_tune.core.encode import Encoding
from lightning_tune.core.rng import generator
from lightning_tune.core.space import Choice, Float, Int, Space
from lightning_tune.errors import SpaceError

SPACE = Space(
    {
        "lr": Float(1e-4, 1e-2, log=True),
        "opt": Choice({"sgd": {"m": Float(0, 1)}, "adam": {"m": Int(0, 3)}}),
        "k": "constant",
        "size": Choice([32, 64, 128], ordered=True),
        "drop": Float(0, 1, step=0.25),
    }
)
NAN = np.nan


def test_axes():
    encoding = Encoding(SPACE)
    assert encoding.space is SPACE
    assert encoding.size == 6
    assert encoding.names == ("lr", "opt", "m", "m", "size", "drop")
    assert encoding.labels == ("lr", "opt", "m (opt='sgd')", "m (opt='adam')", "size", "drop")
    assert encoding.paths == ((), (), (("opt", "sgd"),), (("opt", "adam"),), (), ())
    assert encoding.kinds == ("float", "categorical", "float", "int", "ordered", "float")
    assert [encoding.num_values(axis) for axis in range(6)] == [None, 2, None, 4, 3, 5]
    assert repr(encoding) == "<Encoding of lr, opt, m (opt='sgd'), m (opt='adam'), size, drop>"


def test_known_places():
    encoding = Encoding(SPACE)
    sgd = {"lr": 1e-3, "opt": "sgd", "m": 0.25, "k": "constant", "size": 128, "drop": 1.0}
    adam = {"lr": 1e-4, "opt": "adam", "m": 3, "k": "constant", "size": 32, "drop": 0.0}
    assert encoding.encode(sgd) == pytest.approx([0.5, 0.25, 0.25, NAN, 5 / 6, 0.9], nan_ok=True)
    assert encoding.encode(adam) == pytest.approx([0, 0.75, NAN, 0.875, 1 / 6, 0.1], nan_ok=True)
    assert encoding.decode(encoding.encode(sgd)) == sgd
    assert encoding.decode(encoding.encode(adam)) == adam
    assert encoding.active(sgd).tolist() == [True, True, True, False, True, True]
    assert encoding.active(encoding.encode(adam)).tolist() == [True, True, False, True, True, True]


def test_decoding_clips_and_takes_lists():
    encoding = Encoding(SPACE)
    low = {"lr": 1e-4, "opt": "sgd", "m": 0.0, "k": "constant", "size": 32, "drop": 0.0}
    high = {"lr": 1e-2, "opt": "adam", "m": 3, "k": "constant", "size": 128, "drop": 1.0}
    assert encoding.decode([-1] * 6) == encoding.decode([-np.inf] * 6) == encoding.decode([0] * 6) == low
    assert encoding.decode([2] * 6) == encoding.decode([np.inf] * 6) == encoding.decode([1] * 6) == high
    assert encoding.decode(np.float32([0.5] * 6))["lr"] == 1e-3


def test_what_cannot_be_encoded_or_decoded_is_refused():
    encoding = Encoding(SPACE)
    with pytest.raises(SpaceError, match="lacks `lr`"):
        encoding.encode({})
    with pytest.raises(SpaceError, match=r"must have the shape \(6,\), got \(5,\)"):
        encoding.decode([0.5] * 5)
    with pytest.raises(SpaceError, match=r"must have the shape \(6,\), got \(1, 6\)"):
        encoding.active([[0.5] * 6])
    with pytest.raises(SpaceError, match="NaN at 0, where `lr` is active"):
        encoding.decode([NAN] * 6)


@pytest.mark.parametrize("points", [1, 2, 3, 7])
def test_positions_decode_to_different_values(points):
    space = Space(
        {
            "a": Int(1, 5, log=True),
            "b": Float(1, 9),
            "c": Choice(list("vwxyz")),
            "d": Int(0, 10**9),
            "e": Float(0, 1, step=0.5),
        }
    )
    encoding = Encoding(space)
    for axis, name in enumerate(encoding.names):
        vector = np.full(encoding.size, 0.5)
        values = []
        positions = encoding.positions(axis, points)
        assert np.all(np.diff(positions) > 0)
        for position in positions:
            vector[axis] = position
            values.append(encoding.decode(vector)[name])
        assert (
            len(set(values))
            == len(values)
            == (5 if name == "c" else min(points, {"a": 5, "e": 3}.get(name, points)))
        )
        if name not in "c" and points > 1:
            assert (values[0], values[-1]) == {
                "a": (1, 5),
                "b": (1.0, 9.0),
                "d": (0, 10**9),
                "e": (0.0, 1.0),
            }[name]


def test_a_space_of_constants_has_no_axes():
    encoding = Encoding(Space({"k": 1}))
    assert encoding.size == 0
    assert encoding.encode({"k": 1}).shape == (0,)
    assert encoding.decode([]) == {"k": 1}


def test_decoded_uniform_vectors_are_distributed_like_samples():
    encoding = Encoding(SPACE)
    rng = generator(3, "vectors")
    decoded = [encoding.decode(vector) for vector in rng.random((4000, 6))]
    sampled = [SPACE.sample(rng) for _ in range(4000)]
    for key, values in (
        ("opt", ["sgd", "adam"]),
        ("size", [32, 64, 128]),
        ("drop", [0.0, 0.25, 0.5, 0.75, 1.0]),
    ):
        shares = [
            [sum(config[key] == value for config in configs) / 4000 for value in values]
            for configs in (decoded, sampled)
        ]
        assert np.allclose(shares, 1 / len(values), atol=0.04)
