"""The function over rows: its gradients against finite differences, twice, and its blocks."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from lightning_tune.norm import compounds_rows
from lightning_tune.norm.compounds_rows import AddNorm, blocks, inverse

APPLY: Callable[..., Any] = AddNorm.apply


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compounds_rows, "BLOCK_BYTES", 50)


def doubles(*shape: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64).requires_grad_()


@pytest.mark.parametrize("centred", [True, False])
@pytest.mark.parametrize("memory_efficient", [False, True])
@pytest.mark.parametrize("parameters", [0, 1, 2])
def test_first_and_second_derivatives(centred: bool, memory_efficient: bool, parameters: int) -> None:
    inputs = (doubles(3, 2, 3, seed=0), doubles(3, 2, 3, seed=1))
    given = (doubles(2, 3, seed=2), doubles(2, 3, seed=3))[: min(parameters, 2 if centred else 1)]

    def call(input: Tensor, residual: Tensor, *rest: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        weight, bias = (*rest, None, None)[:2]
        found = APPLY(input, residual, weight, bias, (2, 3), 1e-3, centred, memory_efficient)
        output, total, rstd = found
        return output, total, rstd

    assert torch.autograd.gradcheck(call, (*inputs, *given))
    assert torch.autograd.gradgradcheck(call, (*inputs, *given))


@pytest.mark.parametrize("centred", [True, False])
@pytest.mark.parametrize("memory_efficient", [False, True])
def test_large_means_in_float32(centred: bool, memory_efficient: bool) -> None:
    """Against float64; the error is that of a mean in float32, which is 1e4 * 2^-24."""
    gradients = []
    for dtype in (torch.float32, torch.float64):
        generator = torch.Generator().manual_seed(0)
        input = (torch.randn(40, 64, generator=generator) + 1e4).to(dtype).requires_grad_()
        weight = (torch.rand(64, generator=generator) + 0.5).to(dtype)
        grad = torch.randn(40, 64, generator=generator).to(dtype)
        zeros = torch.zeros_like(input)
        output, _, _ = APPLY(input, zeros, weight, None, (64,), 1e-5, centred, memory_efficient)
        gradients.append(torch.autograd.grad(output, input, grad)[0].double())
    torch.testing.assert_close(*gradients, rtol=0, atol=4e-3 * float(gradients[1].abs().max()))


def test_blocks_cover_every_row_once() -> None:
    for rows, columns in ((1, 1), (7, 3), (1000, 1), (3, 10_000)):
        tensor = torch.zeros(rows, columns)
        for block in blocks(tensor):
            tensor[block] += 1
        assert bool((tensor == 1).all())


def test_inverse_of_zero_is_zero() -> None:
    assert inverse(torch.tensor([2.0, 0.0, -4.0])).tolist() == [0.5, 0.0, -0.25]


def test_a_kept_output_that_is_changed_is_noticed() -> None:
    input, residual = doubles(3, 4, seed=0), doubles(3, 4, seed=1)
    output, _, _ = APPLY(input, residual, None, None, (4,), 1e-5, True, True)
    loss = output.mul_(2).sum()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        torch.autograd.backward(loss)
