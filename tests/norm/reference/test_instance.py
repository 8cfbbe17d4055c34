from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from lightning_tune.norm.reference.batch import batch_norm_eval
from lightning_tune.norm.reference.instance import instance_norm, instance_norm_backward

EPS = 1e-5
SHAPES = [(3, 4, 7), (2, 6, 5, 3), (2, 4, 3, 2, 5), (1, 1, 31)]


def drawn(shape: Sequence[int], dtype: torch.dtype = torch.float64, seed: int = 0) -> list[Tensor]:
    """Return input, weight, bias and a gradient of the output."""
    draws = torch.Generator().manual_seed(seed)
    shapes = (shape, shape[1:2], shape[1:2], shape)
    return [torch.randn(shape, generator=draws, dtype=torch.float64).to(dtype) for shape in shapes]


class HandDerived(torch.autograd.Function):
    """The reference's forward pass with the reference's backward pass in place of torch's."""

    @staticmethod
    def forward(ctx: Any, input: Tensor, weight: Tensor | None, bias: Tensor | None) -> Tensor:
        output, mean, _, rstd = instance_norm(input, weight, bias, EPS)
        ctx.save_for_backward(input, mean, rstd, weight)
        ctx.has_bias = bias is not None
        return output

    @staticmethod
    def backward(ctx: Any, grad_output: Tensor) -> tuple[Tensor | None, ...]:
        grad_input, grad_weight, grad_bias = instance_norm_backward(grad_output, *ctx.saved_tensors)
        return grad_input, grad_weight, grad_bias if ctx.has_bias else None


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("affine", [True, False])
def test_output_and_gradients_are_torchs(shape: tuple[int, ...], affine: bool, dtype: torch.dtype) -> None:
    input, weight, bias, grad_output = drawn(shape, dtype)
    leaves = [tensor.requires_grad_() for tensor in (input, weight, bias)]
    used = leaves[1:] if affine else [None, None]
    expected = functional.instance_norm(input, None, None, *used, eps=EPS)
    output, mean, var, rstd = instance_norm(input, *used, EPS)
    torch.testing.assert_close(output, expected)
    assert mean.shape == var.shape == rstd.shape == shape[:2]
    expected.backward(grad_output)
    with torch.no_grad():
        grads = instance_norm_backward(grad_output, input, mean, rstd, used[0])
    slack = {"rtol": 1e-5, "atol": 1e-5} if dtype == torch.float32 else {}
    torch.testing.assert_close(grads[0], input.grad, **slack)
    if affine:
        torch.testing.assert_close(grads[1], weight.grad, **slack)
        torch.testing.assert_close(grads[2], bias.grad, **slack)
    else:
        assert grads[1] is None


@pytest.mark.parametrize("shape", [(2, 3, 4), (2, 2, 3, 2)])
@pytest.mark.parametrize("affine", [True, False])
def test_first_and_second_derivatives_are_those_of_finite_differences(
    shape: tuple[int, ...], affine: bool
) -> None:
    leaves = [tensor.requires_grad_() for tensor in drawn(shape)[: 3 if affine else 1]]

    def norm(input: Tensor, weight: Tensor | None = None, bias: Tensor | None = None) -> Tensor:
        result: Tensor = HandDerived.apply(input, weight, bias)
        return result

    assert torch.autograd.gradcheck(norm, leaves)
    assert torch.autograd.gradgradcheck(norm, leaves)


@settings(max_examples=40, deadline=None)
@given(
    shape=st.tuples(st.integers(0, 4), st.integers(1, 4)),
    positions=st.lists(st.integers(1, 4), min_size=1, max_size=3),
    seed=st.integers(0, 1000),
    offset=st.sampled_from([0.0, 1.0, 1e4]),
)
def test_any_shape_is_the_formula_channel_by_channel(
    shape: tuple[int, int], positions: list[int], seed: int, offset: float
) -> None:
    input, weight, bias, _ = drawn((*shape, *positions), seed=seed)
    input = input + offset
    output, _, var, _ = instance_norm(input, weight, bias, EPS)
    assert output.shape == input.shape
    for sample in range(shape[0]):
        for channel in range(shape[1]):
            x = input[sample, channel].numpy()
            wanted = (x - x.mean()) / np.sqrt(x.var() + EPS) * weight[channel].item() + bias[channel].item()
            np.testing.assert_allclose(output[sample, channel], wanted, rtol=1e-9, atol=1e-8)
            np.testing.assert_allclose(var[sample, channel], x.var(), rtol=1e-8, atol=1e-12)


def test_running_statistics_take_in_the_mean_over_samples() -> None:
    """What the docstring says of the returned statistics is what torch's running ones become."""
    input, weight, bias, _ = drawn((3, 4, 5, 2))
    running_mean, running_var = torch.zeros(4).double(), torch.ones(4).double()
    functional.instance_norm(input, running_mean, running_var, weight, bias, momentum=0.3, eps=EPS)
    _, mean, var, _ = instance_norm(input, weight, bias, EPS)
    torch.testing.assert_close(running_mean, 0.3 * mean.mean(0))
    torch.testing.assert_close(running_var, 0.7 + 0.3 * var.mean(0) * 10 / 9)
    evaluated = functional.instance_norm(
        input, running_mean, running_var, weight, bias, use_input_stats=False, eps=EPS
    )
    torch.testing.assert_close(
        batch_norm_eval(input, running_mean, running_var, weight, bias, EPS), evaluated
    )


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_narrow_types_lose_no_more_than_one_rounding(dtype: torch.dtype) -> None:
    input, weight, bias, grad_output = drawn((3, 6, 43), dtype)
    wide = [tensor.double().requires_grad_() for tensor in (input, weight, bias)]
    expected = functional.instance_norm(wide[0], None, None, wide[1], wide[2], eps=EPS)
    expected.backward(grad_output.double())
    output, mean, var, rstd = instance_norm(input, weight, bias, EPS)
    grads = instance_norm_backward(grad_output, input, mean, rstd, weight)
    assert mean.dtype == var.dtype == rstd.dtype == torch.float32
    slack = torch.finfo(dtype).eps
    for got, wanted in zip((output, *grads), (expected, *(leaf.grad for leaf in wide)), strict=True):
        assert got is not None
        assert wanted is not None
        assert got.dtype == dtype
        torch.testing.assert_close(got.double(), wanted, rtol=slack, atol=slack * wanted.abs().max().item())


@pytest.mark.parametrize("shape", [(0, 4, 3), (3, 4, 0), (2, 4, 0, 5)])
def test_nothing_in_nothing_out(shape: tuple[int, ...]) -> None:
    input, weight = torch.empty(shape), torch.ones(4)
    output, mean, _, rstd = instance_norm(input, weight, None, EPS)
    grad_input, grad_weight, grad_bias = instance_norm_backward(torch.empty(shape), input, mean, rstd, weight)
    assert output.shape == grad_input.shape == shape
    assert grad_weight is not None
    assert grad_weight.tolist() == grad_bias.tolist() == [0.0] * 4
