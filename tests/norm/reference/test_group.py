from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from lightning_tune.norm.reference.group import group_norm, group_norm_backward

EPS = 1e-5
SHAPES = [
    ((5, 6), 2),
    ((3, 4, 7), 1),
    ((3, 4, 7), 4),
    ((2, 6, 5, 3), 3),
    ((2, 4, 3, 2, 5), 2),
    ((1, 14, 31), 7),
]


def drawn(shape: Sequence[int], dtype: torch.dtype = torch.float64, seed: int = 0) -> list[Tensor]:
    """Return input, weight, bias and a gradient of the output."""
    draws = torch.Generator().manual_seed(seed)
    shapes = (shape, shape[1:2], shape[1:2], shape)
    return [torch.randn(shape, generator=draws, dtype=torch.float64).to(dtype) for shape in shapes]


class HandDerived(torch.autograd.Function):
    """The reference's forward pass with the reference's backward pass in place of torch's."""

    @staticmethod
    def forward(ctx: Any, input: Tensor, weight: Tensor | None, bias: Tensor | None, groups: int) -> Tensor:
        output, mean, rstd = group_norm(input, groups, weight, bias, EPS)
        ctx.save_for_backward(input, mean, rstd, weight)
        ctx.groups, ctx.has_bias = groups, bias is not None
        return output

    @staticmethod
    def backward(ctx: Any, grad_output: Tensor) -> tuple[Tensor | None, ...]:
        grad_input, grad_weight, grad_bias = group_norm_backward(grad_output, *ctx.saved_tensors, ctx.groups)
        return grad_input, grad_weight, grad_bias if ctx.has_bias else None, None


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize(("shape", "groups"), SHAPES)
@pytest.mark.parametrize("affine", [(True, True), (True, False), (False, True), (False, False)])
def test_output_and_gradients_are_torchs(
    shape: tuple[int, ...], groups: int, affine: tuple[bool, bool], dtype: torch.dtype
) -> None:
    input, weight, bias, grad_output = drawn(shape, dtype)
    leaves = [tensor.requires_grad_() for tensor in (input, weight, bias)]
    used = [tensor if wanted else None for tensor, wanted in zip(leaves[1:], affine, strict=True)]
    # not None: torch's backward pass of a bias without a weight raises "tensor does not have a device"
    ones = torch.ones(shape[1], dtype=dtype)
    expected = functional.group_norm(input, groups, weight if affine[0] else ones, used[1], EPS)
    output, mean, rstd = group_norm(input, groups, *used, EPS)
    torch.testing.assert_close(output, expected)
    assert mean.shape == rstd.shape == (shape[0], groups)
    expected.backward(grad_output)
    with torch.no_grad():
        grads = group_norm_backward(grad_output, input, mean, rstd, used[0], groups)
    slack = {"rtol": 1e-5, "atol": 1e-5} if dtype == torch.float32 else {}
    torch.testing.assert_close(grads[0], input.grad, **slack)
    if affine[0]:
        torch.testing.assert_close(grads[1], weight.grad, **slack)
    else:
        assert grads[1] is None
    torch.testing.assert_close(grads[2], grad_output.transpose(0, 1).flatten(1).sum(1), **slack)


@pytest.mark.parametrize(
    ("shape", "groups"), [((4, 6), 2), ((3, 4, 3), 2), ((2, 4, 2, 2), 4), ((2, 3, 4), 1)]
)
@pytest.mark.parametrize("affine", [True, False])
def test_first_and_second_derivatives_are_those_of_finite_differences(
    shape: tuple[int, ...], groups: int, affine: bool
) -> None:
    input, weight, bias, _ = drawn(shape)
    leaves = [tensor.requires_grad_() for tensor in (input, weight, bias)[: 3 if affine else 1]]

    def norm(input: Tensor, weight: Tensor | None = None, bias: Tensor | None = None) -> Tensor:
        result: Tensor = HandDerived.apply(input, weight, bias, groups)
        return result

    assert torch.autograd.gradcheck(norm, leaves)
    assert torch.autograd.gradgradcheck(norm, leaves)


@settings(max_examples=40, deadline=None)
@given(
    samples=st.integers(0, 4),
    groups=st.integers(1, 4),
    each=st.integers(1, 3),
    positions=st.lists(st.integers(1, 4), max_size=3),
    seed=st.integers(0, 1000),
    offset=st.sampled_from([0.0, 1.0, 1e4]),
)
def test_any_shape_is_the_formula_group_by_group(
    samples: int, groups: int, each: int, positions: list[int], seed: int, offset: float
) -> None:
    shape = (samples, groups * each, *positions)
    input, weight, bias, _ = drawn(shape, seed=seed)
    input = input + offset
    output, _, _ = group_norm(input, groups, weight, bias, EPS)
    assert output.shape == shape
    for sample, got in zip(input.numpy(), output.numpy(), strict=True):
        for first in range(0, groups * each, each):
            x = sample[first : first + each]
            for channel in range(each):
                h = (x[channel] - x.mean()) / np.sqrt(x.var() + EPS)
                wanted = h * weight[first + channel].item() + bias[first + channel].item()
                np.testing.assert_allclose(got[first + channel], wanted, rtol=1e-9, atol=1e-8)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("offset", [0.0, 1e4])
def test_narrow_types_lose_no_more_than_one_rounding(dtype: torch.dtype, offset: float) -> None:
    """Against float64 from the same stored values: rounding of the result, and of the float32 mean."""
    input, weight, bias, grad_output = drawn((3, 6, 43))
    input = (input * (1 if dtype == torch.float32 else 50) + offset).to(dtype)
    weight, bias, grad_output = (tensor.to(dtype) for tensor in (weight, bias, grad_output))
    wide = [tensor.double().requires_grad_() for tensor in (input, weight, bias)]
    expected = functional.group_norm(wide[0], 2, wide[1], wide[2], EPS)
    expected.backward(grad_output.double())
    output, mean, rstd = group_norm(input, 2, weight, bias, EPS)
    grads = group_norm_backward(grad_output, input, mean, rstd, weight, 2)
    assert mean.dtype == rstd.dtype == torch.float32
    slack = torch.finfo(dtype).eps + 4 * torch.finfo(torch.float32).eps * (4 + offset)
    for got, wanted in zip((output, *grads), (expected, *(leaf.grad for leaf in wide)), strict=True):
        assert got is not None
        assert wanted is not None
        assert got.dtype == dtype
        torch.testing.assert_close(got.double(), wanted, rtol=slack, atol=slack * wanted.abs().max().item())


@pytest.mark.parametrize("shape", [(0, 4), (0, 4, 3), (3, 4, 0), (2, 4, 0, 5)])
def test_nothing_in_nothing_out(shape: tuple[int, ...]) -> None:
    input, weight = torch.empty(shape), torch.ones(4)
    output, mean, rstd = group_norm(input, 2, weight, None, EPS)
    grad_input, grad_weight, grad_bias = group_norm_backward(torch.empty(shape), input, mean, rstd, weight, 2)
    assert output.shape == grad_input.shape == shape
    assert grad_weight is not None
    assert grad_weight.tolist() == grad_bias.tolist() == [0.0] * 4


def test_channels_last_gives_the_same() -> None:
    input, weight, bias, grad_output = drawn((2, 6, 5, 3))
    output, mean, rstd = group_norm(input, 3, weight, bias, EPS)
    expected = group_norm_backward(grad_output, input, mean, rstd, weight, 3)
    last = input.to(memory_format=torch.channels_last)
    torch.testing.assert_close(group_norm(last, 3, weight, bias, EPS)[0], output)
    for got, wanted in zip(
        group_norm_backward(grad_output, last, mean, rstd, weight, 3), expected, strict=True
    ):
        torch.testing.assert_close(got, wanted)
