"""`Objective`: every value becomes "lower is better"; NaN and infinity never win."""

import math

import hypothesis.strategies as st
import pytest
from hypothesis import given

from lightning_tune.core.objective import Objective
from lightning_tune.errors import ArgumentError

NAN, INF = math.nan, math.inf
FINITE = st.floats(allow_nan=False, allow_infinity=False)
ANY = st.floats()
MODES = st.sampled_from(["min", "max"])


def _sum(values):
    return sum(values)


def test_one_monitor_or_several():
    assert Objective.of("loss") == Objective(("loss",), ("min",))
    assert Objective.of(["loss", "acc"], ["min", "max"]).mode == ("min", "max")
    assert Objective.of(["a", "b"], "max").mode == ("max", "max")
    assert Objective.of("loss").score == "best"


@pytest.mark.parametrize(
    ("monitor", "mode", "score", "words"),
    [
        ("", "min", "best", "`monitor` must name a metric"),
        ([], "min", "best", "`monitor` must name a metric"),
        (["a", ""], "min", "best", "`monitor` must name a metric"),
        (["a", 3], "min", "best", "`monitor` must name a metric"),
        (["a", "a"], "min", "best", "names a metric twice"),
        ("a", "minimize", "best", "`mode` must be 'min' or 'max', got 'minimize'"),
        ("a", ["min", "max"], "best", "got 2 modes for 1 monitors"),
        (["a", "b"], ["min"], "best", "got 1 modes for 2 monitors"),
        ("a", "min", "mean", "`score` must be 'best', 'last' or a callable, got 'mean'"),
    ],
)
def test_bad_arguments_are_refused(monitor, mode, score, words):
    with pytest.raises(ArgumentError, match=words):
        Objective.of(monitor, mode, score)


@given(FINITE, MODES)
def test_cost_and_value_are_inverse(value, mode):
    objective = Objective.of("x", mode)
    assert objective.value(objective.cost((value,))) == value
    assert objective.costs((value,)) == (objective.cost((value,)),)


@given(FINITE, FINITE, MODES)
def test_the_lower_cost_is_the_better_value(first, second, mode):
    objective = Objective.of("x", mode)
    wins = first < second if mode == "min" else first > second
    assert (objective.cost((first,)) < objective.cost((second,))) == wins
    assert objective.better(first, second) == wins


@given(ANY, MODES)
def test_cost_is_never_nan_and_what_is_not_finite_never_wins(value, mode):
    objective = Objective.of("x", mode)
    cost = objective.cost((value,))
    assert not math.isnan(cost)
    assert math.isfinite(cost) == math.isfinite(value)
    if not math.isfinite(value):
        assert cost == INF
        assert not objective.better(value, 1e308 if mode == "min" else -1e308)


def test_infinity_in_the_good_direction_is_no_good_either():
    assert Objective.of("x", "min").cost((-INF,)) == INF
    assert Objective.of("x", "max").cost((INF,)) == INF
    assert Objective.of(["x", "y"], ["min", "max"]).costs((-INF, NAN)) == (INF, INF)


def test_better_by_more_than_min_delta():
    objective = Objective.of("acc", "max")
    assert objective.better(0.75, 0.5, min_delta=0.125)
    assert not objective.better(0.75, 0.5, min_delta=0.25)
    assert not objective.better(0.5, 0.5)


def test_several_monitors_need_a_callable_score():
    objective = Objective.of(["a", "b"])
    assert not objective.scalar
    with pytest.raises(ArgumentError, match="several monitors have no single cost: pass `score=` a callable"):
        objective.cost((1.0, 2.0))
    with pytest.raises(ValueError, match="zip"):
        objective.costs((1.0,))


@pytest.mark.parametrize(("values", "cost"), [((1.0, 2.0), 3.0), ((NAN, 2.0), INF), ((-INF, 2.0), INF)])
def test_a_callable_score_makes_one_number(values, cost):
    objective = Objective.of(["a", "b"], ["min", "max"], _sum)
    assert objective.scalar
    assert objective.cost(values) == cost
    assert objective.value(3.0) == 3.0
    assert objective.costs(values) == (cost,)
    assert objective.values((cost,)) == (cost,)


def test_costs_of_several_turn_back_into_the_users_values():
    objective = Objective.of(["loss", "acc"], ["min", "max"])
    assert objective.costs((0.5, 0.75)) == (0.5, -0.75)
    assert objective.values((0.5, -0.75)) == (0.5, 0.75)


@pytest.mark.parametrize(
    ("monitor", "mode", "suspicious"),
    [
        ("val_acc", "min", True),
        ("val_acc", "max", False),
        ("val/Accuracy", "min", True),
        ("train-loss", "max", True),
        ("val_loss", "min", False),
        ("f1_loss", "max", False),
        ("f1_loss", "min", False),
        ("something", "max", False),
        ("accent", "min", False),
    ],
)
def test_names_that_speak_against_their_mode(monitor, mode, suspicious):
    sentences = Objective.of(monitor, mode).suspicions()
    assert len(sentences) == suspicious
    if suspicious:
        other = "max" if mode == "min" else "min"
        assert f"`monitor={monitor!r}` sounds like a metric to {other}imise" in sentences[0]
        assert f"did you mean mode={other!r}?" in sentences[0]


def test_every_monitor_is_asked():
    assert len(Objective.of(["acc", "loss", "auc"], ["min", "max", "max"]).suspicions()) == 2
