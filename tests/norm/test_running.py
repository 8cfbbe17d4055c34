"""Running statistics against torch.nn.functional.batch_norm's."""

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.testing import assert_close

from lightning_tune import norm
from lightning_tune.norm.running import update_running_statistics, values_per_channel


@pytest.mark.parametrize("momentum", [0.0, 0.1, 0.7, 1.0])
@pytest.mark.parametrize("shape", [(2, 3), (5, 3, 4), (1, 3, 2, 2)])
def test_the_update_is_torchs(momentum: float, shape: tuple[int, ...]):
    batch = torch.randn(shape, dtype=torch.float64) * 3 + 2
    ours = torch.randn(3, dtype=torch.float64), torch.rand(3, dtype=torch.float64)
    theirs = tuple(each.clone() for each in ours)
    functional.batch_norm(batch, *theirs, training=True, momentum=momentum)
    others = [0, *range(2, batch.dim())]
    mean, var = batch.mean(others), batch.var(others, unbiased=False)
    update_running_statistics(*ours, mean, var, values_per_channel(batch), momentum)
    assert_close(ours, theirs)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_statistics_are_updated_in_single_precision(dtype: torch.dtype):
    running = torch.full((1,), 3.0, dtype=dtype), torch.full((1,), 5.0, dtype=dtype)
    update_running_statistics(*running, torch.tensor([4.0]), torch.tensor([6.0]), 4, 0.1)
    assert running[0].dtype == dtype
    assert_close(running[0], torch.tensor([3.1]).to(dtype), rtol=0, atol=0)
    assert_close(running[1], torch.tensor([0.9 * 5 + 0.1 * 8]).to(dtype), rtol=0, atol=0)


def test_an_empty_batch_changes_nothing():
    for count in (0, torch.tensor(0.0)):
        running = torch.full((2,), 3.0), torch.full((2,), 5.0)
        update_running_statistics(*running, torch.zeros(2), torch.zeros(2), count, 0.5)
        assert running[0].tolist() == [3.0, 3.0]
        assert running[1].tolist() == [5.0, 5.0]


def test_a_count_on_the_device():
    by_number, by_tensor = [(torch.zeros(2), torch.ones(2)) for _ in range(2)]
    update_running_statistics(*by_number, torch.ones(2), torch.full((2,), 3.0), 4, 0.5)
    update_running_statistics(*by_tensor, torch.ones(2), torch.full((2,), 3.0), torch.tensor(4.0), 0.5)
    assert_close(by_number, by_tensor)
    assert by_number[1].tolist() == [2.5, 2.5]


def test_no_statistics_and_no_gradient():
    update_running_statistics(None, None, torch.ones(2), torch.ones(2), 3, 0.5)
    mean = torch.ones(2, requires_grad=True)
    running = torch.zeros(2), torch.ones(2)
    update_running_statistics(*running, mean, mean, 3, 0.5)
    assert not running[0].requires_grad


@pytest.mark.parametrize("backend", ["auto", "aten", "reference"])
@pytest.mark.parametrize("momentum", [0.1, None])
@pytest.mark.parametrize("track", [True, False])
def test_a_layer_counts_and_averages_as_torch_nn(momentum: float | None, track: bool, backend: str):
    ours = norm.BatchNorm1d(3, momentum=momentum, track_running_stats=track, backend=backend)
    theirs = nn.BatchNorm1d(3, momentum=momentum, track_running_stats=track)
    for step in range(4):
        batch = torch.randn(5, 3) * (step + 1)
        for layer in (ours, theirs):
            layer.train(step != 2)
        assert_close(ours(batch), theirs(batch))
        assert_close(ours.state_dict(), theirs.state_dict())
    if track:
        assert int(ours.num_batches_tracked) == 3
        ours.reset_running_stats()
        assert (int(ours.num_batches_tracked), ours.running_var.tolist()) == (0, [1.0] * 3)


@pytest.mark.parametrize("backend", ["auto", "reference"])
def test_statistics_that_were_taken_away_as_in_torch_nn(backend: str):
    """`track_running_stats` turned off later: training leaves the buffers alone, evaluation uses them."""
    ours, theirs = norm.BatchNorm1d(3, backend=backend), nn.BatchNorm1d(3)
    for layer in (ours, theirs):
        layer.running_mean.fill_(2.0)
        layer.track_running_stats = False
    batch = torch.randn(5, 3)
    for training in (True, False):
        assert_close(ours.train(training)(batch), theirs.train(training)(batch))
    assert ours.running_mean.tolist() == [2.0] * 3
    assert int(ours.num_batches_tracked) == 0
    for layer in (ours, theirs):
        layer.running_mean = layer.running_var = None
    assert_close(ours(batch), theirs(batch))
