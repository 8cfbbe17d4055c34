import numpy as np
import pytest

from lightning_tune.core.space import Choice, Float, Int, Space
from lightning_tune.search.axes import axes_of
from lightning_tune.search.moves import completed, perturbed, reflected
from lightning_tune.testing.searcher_contract import MIXED

KINDS = Space(
    {
        "f": Float(0, 1),
        "many": Int(1, 50),
        "few": Int(1, 5),
        "cat": Choice(list("abcd")),
        "one": Choice(["x"]),
    }
)
AXES = axes_of(KINDS)
START = AXES.encoding.encode({"f": 0.5, "many": 25, "few": 3, "cat": "b", "one": "x"})


def moved(scale, rate=1.0, number=300, start=START):
    rng = np.random.default_rng(0)
    points = [perturbed(AXES, start, scale, rate, rng) for _ in range(number)]
    return np.array(points), [AXES.encoding.decode(point) for point in points]


def test_numeric_axes_move_by_the_scale():
    for scale in (0.01, 0.1):
        points, _ = moved(scale)
        assert (points[:, 0] - 0.5).std() == pytest.approx(scale, rel=0.15)


def test_every_chosen_axis_gets_another_value_however_small_the_scale():
    _, configs = moved(1e-6)
    assert {config["many"] for config in configs} == {24, 26}
    assert {config["few"] for config in configs} == {2, 4}
    assert {config["cat"] for config in configs} == set("acd")
    assert {config["one"] for config in configs} == {"x"}


def test_at_a_bound_it_turns_back():
    corner = AXES.encoding.encode({"f": 1.0, "many": 50, "few": 5, "cat": "d", "one": "x"})
    points, configs = moved(0.05, start=corner)
    assert ((points >= 0) & (points <= 1)).all()
    assert {config["few"] for config in configs} == {4}
    assert max(config["many"] for config in configs) < 50


def test_at_least_one_axis_changes_and_few_do_where_the_rate_is_low():
    points, _ = moved(0.1, rate=0.0)
    assert ((points != START).sum(axis=1) <= 1).all()
    points, _ = moved(0.1, rate=0.5, number=600)
    assert (points[:, 0] != 0.5).mean() == pytest.approx(0.5, abs=0.08)


def test_inactive_axes_stay_inactive_until_they_are_completed():
    axes = axes_of(MIXED)
    adam = axes.encoding.encode(
        {"lr": 1e-3, "width": 64, "depth": 4, "dropout": 0.1, "size": "m", "optimizer": "adam", "constant": 3}
    )
    sgd = axes.encoding.encode(
        {
            **axes.encoding.decode(adam),
            "optimizer": "sgd",
            "momentum": 0.9,
            "nesterov": True,
        }
    )
    rng = np.random.default_rng(1)
    optimizer, momentum = (axes.encoding.names.index(name) for name in ("optimizer", "momentum"))
    changed = adam.copy()
    changed[optimizer] = sgd[optimizer]
    taken = axes.encoding.decode(completed(axes, changed, np.stack([adam, sgd]), rng))
    assert taken["momentum"] == pytest.approx(0.9)
    assert taken["nesterov"] is True
    drawn = [axes.encoding.decode(completed(axes, changed, adam[None], rng))["momentum"] for _ in range(50)]
    assert len(set(drawn)) == 50
    back = sgd.copy()
    back[optimizer] = adam[optimizer]
    assert np.isnan(completed(axes, back, sgd[None], rng)[momentum])


def test_a_nested_branch_is_completed_from_donors_that_have_it():
    inner = Choice({"p": {"u": Float(0, 1)}, "q": {"v": Float(0, 1)}})
    space = Space({"top": Choice({"a": {"inner": inner}, "b": {}})})
    axes = axes_of(space)
    donor = axes.encoding.encode({"top": "a", "inner": "q", "v": 0.25})
    start = axes.encoding.encode({"top": "b"})
    start[0] = donor[0]
    done = completed(axes, start, donor[None], np.random.default_rng(2))
    assert axes.encoding.decode(done) == {"top": "a", "inner": "q", "v": 0.25}


def test_reflection_folds_any_place_into_the_interval():
    assert reflected(np.array([-2.25, -0.1, 0.0, 1.0, 1.2, 2.5])).tolist() == pytest.approx(
        [0.25, 0.1, 0.0, 1.0, 0.8, 0.5]
    )
