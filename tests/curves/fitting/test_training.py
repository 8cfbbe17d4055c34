import numpy as np
import pytest
import torch
from scipy.stats import logistic

from lightning_tune.curves.anchors import Anchors
from lightning_tune.curves.fitting.cutting import Pool
from lightning_tune.curves.fitting.training import PARTS, _odds, crps, log_density, spread, train
from lightning_tune.curves.network import LEAST_SCALE, MOST_SCALE

RNG = np.random.default_rng(0)


def mixture(output) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    logits, places, logs = (each.numpy() for each in output.split(PARTS, dim=1))
    return np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True), places, np.exp(logs)


def test_the_density_is_that_of_the_mixture():
    """Against scipy's logistic density."""
    output = torch.tensor(RNG.standard_normal((6, 3 * PARTS)) - np.repeat([0.0, 0.0, 1.5], PARTS))
    outcomes = torch.tensor(RNG.standard_normal(6))
    weights, places, scales = mixture(output)
    expected = (weights * logistic.pdf(outcomes.numpy()[:, None], places, scales)).sum(axis=1)
    np.testing.assert_allclose(log_density(output, outcomes).exp(), expected, rtol=1e-10)


def test_the_score_is_that_of_the_metric_itself():
    """E|Y - y| - E|Y - Y'| / 2 of draws Y = sinh(V) (Gneiting & Raftery 2007, equation 21)."""
    output = torch.tensor(RNG.standard_normal((4, 3 * PARTS)) - np.repeat([0.0, 0.0, 1.5], PARTS))
    output[:, 2 * PARTS :] = output[:, 2 * PARTS :].clamp(max=np.log(0.3))  # so that draws have a variance
    outcomes = torch.tensor([0.3, -1.0, 2.0, -4.0])
    for row, (weights, places, scales) in enumerate(zip(*mixture(output), strict=True)):
        part = RNG.choice(PARTS, 400_000, p=weights)
        draws = np.sinh(logistic.rvs(places[part], scales[part], random_state=RNG))
        first, second = np.split(draws, 2)
        expected = np.abs(draws - np.sinh(outcomes[row].item())).mean() - np.abs(first - second).mean() / 2
        assert crps(output, outcomes)[row].item() == pytest.approx(expected, rel=0.03)


def test_parts_are_spread_as_the_network_spreads_them():
    output = torch.tensor(2.0 * RNG.standard_normal((5, 3 * PARTS)))
    anchors = Anchors(
        places=RNG.standard_normal((5, 3)),
        doubts=RNG.uniform(0.01, 1.0, (5, 3)),
        lowest=np.full((5, 1), -2.0),
        highest=np.full((5, 1), 1.5),
    )
    given = (torch.tensor(each) for each in (anchors.places, anchors.doubts, anchors.lowest, anchors.highest))
    logits, places, logs = spread(output, *given).split(PARTS, dim=1)
    said = output.numpy()
    expected, expected_logs = anchors.spread(said[:, PARTS : 2 * PARTS], said[:, 2 * PARTS :])
    np.testing.assert_array_equal(logits, said[:, :PARTS])
    np.testing.assert_allclose(places, expected)
    np.testing.assert_allclose(logs, np.clip(expected_logs, np.log(LEAST_SCALE), np.log(MOST_SCALE)))


def pool_of(number: int) -> Pool:
    """Outcomes that are twice the first column, with noise of 0.1."""
    columns = RNG.standard_normal((number, 3))
    outcomes = 2.0 * columns[:, 0] + 0.1 * RNG.standard_normal(number)
    return Pool(
        columns=columns,
        anchors=plain_anchors(number),
        outcomes=outcomes,
        owner=np.arange(number) % 2,
        num_drawn=1,
    )


def plain_anchors(number: int) -> Anchors:
    return Anchors(
        places=np.zeros((number, 3)),
        doubts=np.ones((number, 3)),
        lowest=np.full((number, 1), -30.0),
        highest=np.full((number, 1), 30.0),
    )


def test_it_learns_what_there_is_to_learn():
    """The log density comes near that of the true distribution, from far below it."""
    network = train(pool_of(4000), members=1, steps=400, seed=0)
    fresh = pool_of(1000)
    parts = network.parts(fresh.columns, fresh.anchors)
    density = (parts.weights * logistic.pdf(fresh.outcomes[:, None], parts.places, parts.scales)).sum(axis=1)
    truth = -0.5 - 0.5 * np.log(2 * np.pi) - np.log(0.1)
    assert np.log(density).mean() > truth - 0.4


def test_members_differ_and_the_same_seed_gives_the_same():
    data = pool_of(500)
    first, again, other = (train(data, members=2, steps=20, seed=seed) for seed in (0, 0, 1))
    weights = first.layers[0][0]
    assert weights.shape == (2, 3, 64)
    np.testing.assert_array_equal(weights, again.layers[0][0])
    assert not np.allclose(weights[0], weights[1])
    assert not np.allclose(weights, other.layers[0][0])
    assert first.num_parts == 2 * PARTS
    assert first.centre == pytest.approx(data.columns.mean(axis=0))


def test_drawn_data_sets_count_twice_and_all_others_the_same():
    data = Pool(
        columns=np.zeros((9, 3)),
        anchors=plain_anchors(9),
        outcomes=np.zeros(9),
        owner=np.array([0, 0, 0, 0, 1, 2, 2, 3, 3]),
        num_drawn=2,
    )
    odds = _odds(data).numpy()
    assert [odds[data.owner == place].sum() for place in range(4)] == pytest.approx([1.0, 1.0, 2.0, 2.0])
