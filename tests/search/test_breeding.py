import numpy as np
import pytest

from lightning_tune.core.space import Choice, Float, Int, Space
from lightning_tune.search import breeding
from lightning_tune.search.axes import axes_of
from lightning_tune.search.breeding import Brood
from lightning_tune.testing.searcher_contract import MIXED

PLANE = axes_of(Space({"x": Float(0, 1), "y": Float(0, 1)}))


def children(brood, number=400):
    rng = np.random.default_rng(0)
    return np.array([brood.child(rng) for _ in range(number)])


def only(monkeypatch, covariance=0.0, difference=0.0):
    """Make children in one way alone, without mutation after."""
    monkeypatch.setattr(breeding, "_COVARIANCE", covariance)
    monkeypatch.setattr(breeding, "_DIFFERENCE", difference)
    monkeypatch.setattr(breeding, "_MUTATED_ANYHOW", 0.0)


def test_children_are_configurations_of_the_space():
    axes = axes_of(MIXED)
    rng = np.random.default_rng(1)
    parents = np.array([axes.encoding.encode(MIXED.sample(rng)) for _ in range(12)])
    for child in children(Brood(axes, parents, 3, 0.2)):
        config = axes.encoding.decode(child)
        assert MIXED.validate(config) == config
        np.testing.assert_array_equal(np.isnan(child), ~axes.active(np.nan_to_num(child, nan=0.5)[None])[0])


def test_crossover_takes_each_value_from_a_parent(monkeypatch):
    only(monkeypatch)
    monkeypatch.setattr(Brood, "_mutated", lambda self, child, rng: child)
    parents = np.array([[0.1, 0.2], [0.3, 0.4], [0.5, 0.6]])
    made = children(Brood(PLANE, parents, 1, 0.0))
    assert {*made[:, 0].tolist()} == {0.1, 0.3, 0.5}
    assert {*made[:, 1].tolist()} == {0.2, 0.4, 0.6}
    assert len(np.unique(made, axis=0)) == 9


def test_larger_tournaments_prefer_the_best(monkeypatch):
    only(monkeypatch)
    monkeypatch.setattr(Brood, "_mutated", lambda self, child, rng: child)
    parents = np.stack([np.linspace(0, 1, 10)] * 2, axis=1)
    fair, greedy = (children(Brood(PLANE, parents, size, 0.0)).mean() for size in (1, 4))
    assert fair == pytest.approx(0.5, abs=0.05)
    expected = (
        sum((1 - place / 10) ** 4 for place in range(1, 10)) / 9
    )  # the mean of the least of four places
    assert greedy == pytest.approx(expected, abs=0.03)


def test_the_covariance_of_the_parents_is_kept(monkeypatch):
    only(monkeypatch, covariance=1.0)
    along = np.random.default_rng(2).normal(0.0, 0.05, 16)
    parents = 0.5 + np.stack([along, along], axis=1)
    made = children(Brood(PLANE, parents, 3, 0.0))
    assert np.corrcoef(made.T)[0, 1] > 0.999
    assert made[:, 0].std() > 0.8 * along.std()


def test_differences_keep_to_the_line_the_parents_are_on_or_to_an_axis(monkeypatch):
    only(monkeypatch, difference=1.0)
    monkeypatch.setattr(breeding, "_TOWARDS", 1.1)
    along = np.linspace(-0.2, 0.2, 8)
    parents = 0.5 + np.stack([along, 0.5 * along], axis=1)
    made = children(Brood(PLANE, parents, 3, 0.0)) - 0.5
    np.testing.assert_allclose(made[:, 1], 0.5 * made[:, 0], atol=1e-12)


def test_categories_and_branches_come_from_parents_or_mutation():
    space = Space({"c": Choice({"a": {"u": Float(0, 1)}, "b": {"n": Int(1, 40)}}), "k": Choice(list("pqrs"))})
    axes = axes_of(space)
    configs = [{"c": "a", "u": 0.3, "k": "p"}, {"c": "a", "u": 0.4, "k": "q"}, {"c": "b", "n": 7, "k": "p"}]
    parents = np.array([axes.encoding.encode(config) for config in configs])
    made = [axes.encoding.decode(child) for child in children(Brood(axes, parents, 1, 0.0))]
    assert {config["c"] for config in made} == {"a", "b"}
    assert sum(config["k"] in "pq" for config in made) > 0.75 * len(made)
    assert {config["k"] for config in made} == set("pqrs")
