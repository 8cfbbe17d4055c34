import numpy as np
import pytest
import torch

from lightning_tune.curves.anchors import Anchors
from lightning_tune.curves.network import FILE, MOST_SCALE, Network, load, save, shipped


def small(rng) -> Network:
    sizes = (33, 5, 5, 27)
    layers = tuple(
        (rng.standard_normal((2, into, out)), rng.standard_normal((2, out)))
        for into, out in zip(sizes, sizes[1:], strict=False)
    )
    return Network(centre=rng.standard_normal(33), spread=np.ones(33), layers=layers)


def some_anchors(rng, shape) -> Anchors:
    return Anchors(
        places=rng.standard_normal((*shape, 3)),
        doubts=rng.uniform(0.1, 1.0, (*shape, 3)),
        lowest=np.full((*shape, 1), -3.0),
        highest=np.full((*shape, 1), 2.0),
    )


def test_it_computes_what_torch_computes():
    rng = np.random.default_rng(0)
    network = small(rng)
    columns = rng.standard_normal((4, 3, 33))
    anchors = some_anchors(rng, (4, 3))
    found = network.parts(columns, anchors)
    rows = torch.tensor(columns - network.centre).clamp(-5, 5)
    for member in range(2):
        hidden = rows
        for weights, biases in network.layers[:-1]:
            hidden = torch.nn.functional.silu(
                hidden @ torch.tensor(weights[member]) + torch.tensor(biases[member])
            )
        weights, biases = network.layers[-1]
        logits, places, logs = (hidden @ torch.tensor(weights[member]) + torch.tensor(biases[member])).chunk(
            3, -1
        )
        own = slice(member * 9, (member + 1) * 9)
        around, doubts = (np.repeat(each, 3, axis=-1) for each in (anchors.places, anchors.doubts))
        places = np.clip(around + doubts * places.numpy(), anchors.lowest, anchors.highest)
        logs = logs + torch.log(torch.tensor(doubts))
        np.testing.assert_allclose(found.weights[..., own], torch.softmax(logits, -1) / 2, rtol=1e-9)
        np.testing.assert_allclose(found.places[..., own], places, rtol=1e-9)
        expected = logs.clamp(np.log(1e-3), np.log(MOST_SCALE)).exp()
        np.testing.assert_allclose(found.scales[..., own], expected, rtol=1e-9)
    assert network.num_parts == found.weights.shape[-1] == 18
    assert found.weights.sum(axis=-1) == pytest.approx(np.ones((4, 3)))


def test_a_written_network_is_read_again(tmp_path):
    network = small(np.random.default_rng(1))
    save(network, tmp_path / "prior.npz")
    again = load(tmp_path / "prior.npz")
    rng = np.random.default_rng(2)
    columns, anchors = rng.standard_normal((5, 33)), some_anchors(rng, (5,))
    before, after = (each.parts(columns, anchors).places for each in (network, again))
    np.testing.assert_allclose(before, after, rtol=1e-4, atol=1e-4)


def test_the_one_that_comes_with_the_package_is_small_and_read_once():
    assert FILE.stat().st_size < 5e6
    assert shipped() is shipped()
    assert shipped().num_parts == 36
