"""Batch norm with an activation: gradients against finite differences, twice; what it does not touch."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from lightning_tune.norm import compounds_rows
from lightning_tune.norm.compounds_channels import BatchNormActivation

APPLY: Callable[..., Any] = BatchNormActivation.apply


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compounds_rows, "BLOCK_BYTES", 100)


def doubles(*shape: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64).requires_grad_()


@pytest.mark.parametrize("activation", ["none", "relu", "silu", "gelu"])
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("memory_efficient", [True, False])
@pytest.mark.parametrize("shape", [(5, 2), (3, 2, 2, 2)])
def test_first_and_second_derivatives(
    activation: str, training: bool, memory_efficient: bool, shape: tuple[int, ...]
) -> None:
    mean, var = doubles(2, seed=3).detach(), doubles(2, seed=4).detach().abs() + 0.5

    def call(input: Tensor, *parameters: Tensor) -> Tensor:
        weight, bias = parameters or (None, None)
        running = (mean.clone(), var.clone())
        found: Tensor = APPLY(input, weight, bias, running, training, 0.1, 1e-3, activation, memory_efficient)
        return found

    for inputs in (
        (doubles(*shape, seed=0), doubles(2, seed=1), doubles(2, seed=2)),
        (doubles(*shape, seed=0),),
    ):
        assert torch.autograd.gradcheck(call, inputs)
        assert torch.autograd.gradgradcheck(call, inputs)


@pytest.mark.parametrize("activation", ["none", "relu", "silu", "gelu"])
@pytest.mark.parametrize("training", [True, False])
def test_the_callers_gradient_stays_as_it_is(activation: str, training: bool) -> None:
    input, grad_output = doubles(3, 4, 5, seed=0), doubles(3, 4, 5, seed=1).detach()
    before = grad_output.clone()
    running = (torch.zeros(4, dtype=torch.float64), torch.ones(4, dtype=torch.float64))
    output = APPLY(input, None, None, running, training, 0.1, 1e-3, activation, False)
    torch.autograd.grad(output, input, grad_output)
    assert torch.equal(grad_output, before)


def test_two_backward_passes_give_the_same_bits() -> None:
    input, weight = doubles(3, 4, 5, seed=0), doubles(4, seed=1)
    output = APPLY(input, weight, None, (None, None), True, 0.1, 1e-3, "silu", True)
    first = torch.autograd.grad(output.sum(), (input, weight), retain_graph=True)
    second = torch.autograd.grad(output.sum(), (input, weight))
    assert all(torch.equal(one, two) for one, two in zip(first, second, strict=True))
