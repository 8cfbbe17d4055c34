import numpy as np
import pytest
from scipy.spatial.distance import cdist

from lightning_tune.core.encode import Encoding
from lightning_tune.core.space import Choice, Float, Int, Space
from lightning_tune.search.gp.layout import FINE, Layout, layout_of

SPACE = Space(
    {
        "lr": Float(1e-5, 1e-1, log=True),
        "width": Int(4, 256, log=True),
        "size": Choice(["s", "m", "l"], ordered=True),
        "opt": Choice(
            {"sgd": {"momentum": Float(0.0, 0.99), "kind": Choice(["a", "b"])}, "adam": {}, "x": {}}
        ),
        "seed": Int(0, 10**6),
    }
)


def encoded(*configs):
    layout = layout_of(SPACE)
    return layout, np.array([layout.encoding.encode(config) for config in configs])


def test_settled_points_are_configurations_and_settling_again_changes_nothing():
    layout = layout_of(SPACE)
    points = layout.settle(np.random.default_rng(0).random((200, layout.axes)) * 1.4 - 0.2)
    np.testing.assert_array_equal(layout.settle(points), points)
    for point in points:
        config = layout.encoding.decode(point)
        back = layout.encoding.encode(config)
        fine = layout.continuous
        np.testing.assert_array_equal(np.isnan(back), np.isnan(point))
        np.testing.assert_array_equal(back[~fine], point[~fine])


def test_what_an_option_brings_exists_only_under_it():
    layout = layout_of(SPACE)
    points = layout.settle(np.random.default_rng(1).random((300, layout.axes)))
    configs = [layout.encoding.decode(point) for point in points]
    under = np.array([config["opt"] == "sgd" for config in configs])
    momentum = layout.encoding.names.index("momentum")
    np.testing.assert_array_equal(~np.isnan(points[:, momentum]), under)
    assert 0 < under.sum() < 300


def test_nested_branches_are_settled_from_the_outside_in():
    inner = Choice({"p": {"deep": Float(0, 1)}, "q": {}})
    space = Space({"a": Choice({"x": {"b": inner}, "y": {}})})
    layout = Layout(Encoding(space))
    points = layout.settle(np.array([[0.1, 0.1, 0.3], [0.1, 0.9, 0.3], [0.9, 0.1, 0.3]]))
    assert np.isnan(points).tolist() == [[False, False, False], [False, False, True], [False, True, True]]


def test_any_two_options_are_equally_far_apart():
    layout, points = encoded(
        *({"lr": 1e-3, "width": 16, "size": "m", "opt": opt, "seed": 5} for opt in ("adam", "x")),
    )
    apart = cdist(layout.features(points), layout.features(points), "sqeuclidean")
    assert apart[0, 1] == pytest.approx(1.0)


def test_every_value_of_a_conditional_axis_is_equally_far_from_inactive():
    layout = Layout(Encoding(Space({"a": Choice({"x": {"b": Float(0, 1)}, "y": {}})})))
    points = np.array([[0.25, place] for place in (0.0, 0.2, 0.5, 1.0)] + [[0.75, np.nan]])
    columns = layout.features(points)[:, layout.owner == 1]
    apart = cdist(columns, columns)
    np.testing.assert_allclose(apart[-1, :-1], 1.0)
    assert apart[0, 1] == pytest.approx(0.2, rel=0.01)
    assert apart[0, 3] == pytest.approx(1.0, rel=0.05)


def test_slopes_equal_finite_differences():
    layout, points = encoded(
        {"lr": 1e-3, "width": 16, "size": "m", "opt": "sgd", "momentum": 0.4, "kind": "b", "seed": 5},
        {"lr": 1e-2, "width": 9, "size": "l", "opt": "adam", "seed": 10**5},
    )
    slopes = layout.slopes(points)
    for axis in np.flatnonzero(layout.continuous):
        step = np.zeros(layout.axes)
        step[axis] = 1e-6
        numeric = (layout.features(points + step) - layout.features(points - step)) / 2e-6
        mine = layout.owner == axis
        np.testing.assert_allclose(slopes[:, mine], numeric[:, mine], atol=1e-8)


def test_an_axis_with_many_values_moves_as_a_continuous_one():
    layout = layout_of(SPACE)
    named = dict(zip(layout.encoding.names, layout.continuous, strict=True))
    assert named["lr"]
    assert named["seed"]
    assert FINE < 10**6
    assert not named["width"]
    assert not named["opt"]


def test_a_loose_axis_may_be_missing():
    space = Space({"a": Float(0, 1), "b": Choice(["x", "y"])})
    layout = layout_of(space, frozenset({0, 1}))
    columns = layout.features(np.array([[0.3, 0.25], [np.nan, np.nan], [0.9, 0.75]]))
    assert np.isfinite(columns).all()
    apart = cdist(columns, columns, "sqeuclidean")
    assert apart[0, 1] == pytest.approx(apart[2, 1]) == pytest.approx(2.0)


def test_a_small_finite_space_is_listed_whole():
    space = Space({"a": Choice({"x": {"b": Int(1, 3)}, "y": {}}), "c": Choice([True, False])})
    points = layout_of(space).all_points
    assert points is not None
    assert len(np.unique(points, axis=0, equal_nan=True)) == len(points) == 8
    assert layout_of(SPACE).all_points is None
    assert layout_of(Space({"n": Int(0, FINE)})).all_points is None


def tried(*options):
    configs = [
        {"lr": 1e-3, "width": 16, "size": "m", "opt": option, "seed": 5}
        | ({"momentum": 0.1, "kind": "a"} if option == "sgd" else {})
        for option in options
    ]
    return encoded(*configs)


def test_an_option_that_brings_hyperparameters_has_a_right_to_a_few_trials():
    """A ninth of them with three options, at most their square root; the plain options have none."""
    layout, points = tried(*["adam"] * 19)
    axis, place = layout.starved(points)
    assert layout.encoding.names[axis] == "opt"
    assert layout.encoding.decode(layout.settle(np.full((1, layout.axes), place))[0])["opt"] == "sgd"
    assert layout.starved(tried(*["adam"] * 19, *["sgd"] * 4)[1]) is None
    assert layout.starved(tried(*["adam"] * 390, *["sgd"] * 26)[1]) is None
    assert layout.starved(tried(*["adam"] * 390, *["sgd"] * 24)[1]) is not None


def test_without_branches_no_option_has_a_right():
    layout = layout_of(Space({"c": Choice(["x", "y"]), "a": Float(0, 1)}))
    assert layout.starved(np.tile([[0.25, 0.5]], (50, 1))) is None


def test_points_are_held_at_an_option_with_what_it_brings():
    layout, points = tried("adam", "sgd", "x")
    axis = layout.encoding.names.index("opt")
    held = layout.hold(points, axis, 1 / 6, np.random.default_rng(0))
    configs = [layout.encoding.decode(point) for point in held]
    assert [config["opt"] for config in configs] == ["sgd"] * 3
    assert not np.isnan(held).any()
    assert configs[1]["momentum"] == pytest.approx(0.1)
