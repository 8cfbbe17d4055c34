"""Ghost batch norm against batch norm of each ghost batch, by hand."""

import copy
import pickle

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from lightning_tune import norm
from lightning_tune.errors import ArgumentError

BACKENDS = ("auto", "aten", "reference")


def drawn(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def by_hand(batch: Tensor, sizes: list[int], running: tuple[Tensor, Tensor], momentum: float) -> Tensor:
    """Algorithm 1 of Hoffer et al., with torch's unbiased running variance."""
    mean, var = running
    outputs = []
    for ghost in batch.split(sizes):
        own_mean, own_var = ghost.mean(0), ghost.var(0, unbiased=False)
        outputs.append((ghost - own_mean) / (own_var + 1e-5).sqrt())
        mean.mul_(1 - momentum).add_(momentum * own_mean)
        var.mul_(1 - momentum).add_(momentum * ghost.var(0, unbiased=True))
    return torch.cat(outputs)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    ("samples", "size", "sizes"),
    [
        (12, 4, [4, 4, 4]),
        (10, 4, [4, 4, 2]),
        (9, 4, [4, 5]),  # a single sample has no deviation
        (3, 8, [3]),
        (8, 8, [8]),
        (5, 2, [2, 3]),
    ],
)
def test_each_ghost_batch_has_its_own_statistics(samples: int, size: int, sizes: list[int], backend: str):
    batch = drawn(samples, 3) * 2 + 1
    layer = norm.GhostBatchNorm(3, momentum=0.3, ghost_batch_size=size, backend=backend, dtype=torch.float64)
    running = (torch.zeros(3, dtype=torch.float64), torch.ones(3, dtype=torch.float64))
    for step in range(1, 3):
        assert_close(layer(batch), by_hand(batch, sizes, running, 0.3))
        assert_close(layer.running_mean, running[0])
        assert_close(layer.running_var, running[1])
        assert int(layer.num_batches_tracked) == step * len(sizes)


@pytest.mark.parametrize("backend", BACKENDS)
def test_evaluation_is_batch_norm(backend: str):
    layer = norm.GhostBatchNorm(3, ghost_batch_size=2, backend=backend)
    twin = nn.BatchNorm2d(3)
    layer(torch.randn(6, 3, 2, 2))
    twin.load_state_dict(layer.state_dict())
    batch = torch.randn(5, 3, 2, 2)
    assert_close(layer.eval()(batch), twin.eval()(batch))


def test_one_ghost_batch_is_batch_norm():
    layer, twin, batch = (
        norm.GhostBatchNorm(3, ghost_batch_size=9),
        nn.BatchNorm2d(3),
        torch.randn(5, 3, 2, 2),
    )
    assert torch.equal(layer(batch), twin(batch))
    assert torch.equal(layer.running_var, twin.running_var)


def test_the_mean_of_all_ghost_batches():
    """With `momentum=None` each ghost batch counts alike, over steps, too."""
    layer = norm.GhostBatchNorm(3, momentum=None, ghost_batch_size=2, dtype=torch.float64)
    batches = [drawn(6, 3), drawn(4, 3) + 1]
    for batch in batches:
        layer(batch)
    ghosts = [ghost for batch in batches for ghost in batch.split(2)]
    assert_close(layer.running_mean, torch.stack([ghost.mean(0) for ghost in ghosts]).mean(0))
    assert_close(layer.running_var, torch.stack([ghost.var(0) for ghost in ghosts]).mean(0))


def test_gradients():
    layer = norm.GhostBatchNorm(3, ghost_batch_size=3, backend="reference").double()
    batch = drawn(7, 3).requires_grad_()  # the last sample joins
    assert torch.autograd.gradcheck(layer, batch)
    assert torch.autograd.gradgradcheck(layer, batch)
    (grad,) = torch.autograd.grad(layer(batch)[:3].square().sum(), batch)
    assert (grad[3:] == 0).all()  # one ghost batch does not depend on another


def test_untracked_and_in_single_precision_for_half_inputs():
    layer = norm.GhostBatchNorm(3, track_running_stats=False, ghost_batch_size=2)
    assert list(layer.state_dict()) == ["weight", "bias"]
    output = layer(drawn(6, 3).bfloat16())
    assert output.dtype == torch.bfloat16
    assert_close(
        output[:2].float(), torch.tensor([[1.0] * 3, [-1.0] * 3]) * output[:1].sign(), rtol=0, atol=0.02
    )
    assert_close(layer.eval()(torch.ones(4, 3)), torch.zeros(4, 3))  # of the whole batch: there are no others


def test_errors():
    with pytest.raises(ArgumentError, match="`ghost_batch_size` must be at least 1 sample, got 0"):
        norm.GhostBatchNorm(3, ghost_batch_size=0)
    with pytest.raises(TypeError, match="ghost_batch_size"):
        norm.GhostBatchNorm(3)
    layer = norm.GhostBatchNorm(3, ghost_batch_size=2)
    with pytest.raises(ValueError, match="expected at least 2D input"):
        layer(torch.randn(3))
    with pytest.raises(ValueError, match="Expected more than 1 value per channel"):
        layer(torch.randn(1, 3))


def test_it_is_a_batch_norm_to_others():
    layer = norm.GhostBatchNorm(3, ghost_batch_size=4, backend="aten")
    assert isinstance(layer, nn.modules.batchnorm._BatchNorm)
    assert "ghost_batch_size=4" in repr(layer)
    assert "backend='aten'" in repr(layer)
    for twin in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert (twin.ghost_batch_size, twin.backend) == (4, "aten")
    assert list(layer.state_dict()) == list(nn.BatchNorm2d(3).state_dict())
    assert layer(torch.randn(0, 3)).shape == (0, 3)
