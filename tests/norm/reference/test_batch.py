from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from lightning_tune.norm.reference.batch import (
    batch_norm,
    batch_norm_backward,
    batch_norm_backward_input,
    batch_norm_backward_sums,
    batch_norm_eval,
    batch_norm_statistics,
    merge,
)

EPS = 1e-5
SHAPES = [(5, 6), (3, 4, 7), (2, 6, 5, 3), (2, 4, 3, 2, 5), (1, 3, 31), (257, 1)]


def drawn(shape: Sequence[int], dtype: torch.dtype = torch.float64, seed: int = 0) -> list[Tensor]:
    """Return input, weight, bias and a gradient of the output."""
    draws = torch.Generator().manual_seed(seed)
    shapes = (shape, shape[1:2], shape[1:2], shape)
    return [torch.randn(shape, generator=draws, dtype=torch.float64).to(dtype) for shape in shapes]


def running(channels: int, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    """Return a mean and a variance to evaluate with."""
    draws = torch.Generator().manual_seed(99)
    mean, var = torch.randn(2, channels, generator=draws, dtype=torch.float64)
    return mean.to(dtype), var.square().add(0.1).to(dtype)


class HandDerived(torch.autograd.Function):
    """The reference's forward pass with the reference's backward pass in place of torch's."""

    @staticmethod
    def forward(
        ctx: Any, input: Tensor, weight: Tensor | None, bias: Tensor | None, training: bool
    ) -> Tensor:
        if training:
            output, mean, _, rstd = batch_norm(input, weight, bias, EPS)
        else:
            mean, var = running(input.shape[1])
            output, rstd = batch_norm_eval(input, mean, var, weight, bias, EPS), torch.rsqrt(var + EPS)
        ctx.save_for_backward(input, mean, rstd, weight)
        ctx.training, ctx.has_bias = training, bias is not None
        return output

    @staticmethod
    def backward(ctx: Any, grad_output: Tensor) -> tuple[Tensor | None, ...]:
        grads = batch_norm_backward(grad_output, *ctx.saved_tensors, training=ctx.training)
        return grads[0], grads[1], grads[2] if ctx.has_bias else None, None


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("affine", [(True, True), (True, False), (False, True), (False, False)])
def test_output_and_gradients_are_torchs(
    shape: tuple[int, ...], affine: tuple[bool, bool], training: bool, dtype: torch.dtype
) -> None:
    input, weight, bias, grad_output = drawn(shape, dtype)
    leaves = [tensor.requires_grad_() for tensor in (input, weight, bias)]
    used = [tensor if wanted else None for tensor, wanted in zip(leaves[1:], affine, strict=True)]
    mean, var = running(shape[1], dtype)
    expected = functional.batch_norm(input, mean.clone(), var.clone(), *used, training, 0.1, EPS)
    if training:
        output, mean, var, rstd = batch_norm(input, *used, EPS)
    else:
        output, rstd = batch_norm_eval(input, mean, var, *used, EPS), torch.rsqrt(var + EPS)
    slack = {"rtol": 1e-5, "atol": 1e-5} if dtype == torch.float32 else {}
    torch.testing.assert_close(output, expected, **slack)
    expected.backward(grad_output)
    with torch.no_grad():
        grads = batch_norm_backward(grad_output, input, mean, rstd, used[0], training=training)
    torch.testing.assert_close(grads[0], input.grad, **slack)
    if affine[0]:
        torch.testing.assert_close(grads[1], weight.grad, **slack)
    else:
        assert grads[1] is None
    torch.testing.assert_close(grads[2], grad_output.transpose(0, 1).flatten(1).sum(1), **slack)


@pytest.mark.parametrize("shape", [(4, 3), (3, 2, 3), (2, 2, 2, 2), (2, 2, 1, 2, 2)])
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("affine", [True, False])
def test_first_and_second_derivatives_are_those_of_finite_differences(
    shape: tuple[int, ...], training: bool, affine: bool
) -> None:
    leaves = [tensor.requires_grad_() for tensor in drawn(shape)[: 3 if affine else 1]]

    def norm(input: Tensor, weight: Tensor | None = None, bias: Tensor | None = None) -> Tensor:
        result: Tensor = HandDerived.apply(input, weight, bias, training)
        return result

    assert torch.autograd.gradcheck(norm, leaves)
    assert torch.autograd.gradgradcheck(norm, leaves)


@settings(max_examples=40, deadline=None)
@given(
    samples=st.integers(1, 5),
    channels=st.integers(1, 5),
    positions=st.lists(st.integers(1, 4), max_size=3),
    seed=st.integers(0, 1000),
    offset=st.sampled_from([0.0, 1.0, 1e4]),
)
def test_any_shape_is_the_formula_channel_by_channel(
    samples: int, channels: int, positions: list[int], seed: int, offset: float
) -> None:
    input, weight, bias, _ = drawn((samples, channels, *positions), seed=seed)
    input = input + offset
    output, mean, var, _ = batch_norm(input, weight, bias, EPS)
    assert output.shape == input.shape
    for channel in range(channels):
        x = input[:, channel].numpy()
        wanted = (x - x.mean()) / np.sqrt(x.var() + EPS) * weight[channel].item() + bias[channel].item()
        np.testing.assert_allclose(output[:, channel], wanted, rtol=1e-9, atol=1e-8)
        np.testing.assert_allclose(mean[channel], x.mean(), rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(var[channel], x.var(), rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("offset", [0.0, 1e4])
def test_narrow_types_lose_no_more_than_one_rounding(dtype: torch.dtype, offset: float) -> None:
    """Against float64 from the same stored values: rounding of the result, and of the float32 mean."""
    input, weight, bias, grad_output = drawn((3, 6, 43))
    input = (input * (1 if dtype == torch.float32 else 50) + offset).to(dtype)
    weight, bias, grad_output = (tensor.to(dtype) for tensor in (weight, bias, grad_output))
    wide = [tensor.double().requires_grad_() for tensor in (input, weight, bias)]
    expected = functional.batch_norm(wide[0], None, None, wide[1], wide[2], True, 0.1, EPS)
    expected.backward(grad_output.double())
    output, mean, var, rstd = batch_norm(input, weight, bias, EPS)
    grads = batch_norm_backward(grad_output, input, mean, rstd, weight, training=True)
    assert mean.dtype == var.dtype == rstd.dtype == torch.float32
    slack = torch.finfo(dtype).eps + 4 * torch.finfo(torch.float32).eps * (4 + offset)
    for got, wanted in zip((output, *grads), (expected, *(leaf.grad for leaf in wide)), strict=True):
        assert got is not None
        assert wanted is not None
        assert got.dtype == dtype
        torch.testing.assert_close(got.double(), wanted, rtol=slack, atol=slack * wanted.abs().max().item())


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("shape", [(0, 4), (0, 4, 3), (3, 4, 0), (2, 4, 0, 5)])
def test_nothing_in_nothing_out(shape: tuple[int, ...], training: bool) -> None:
    input, weight = torch.empty(shape), torch.ones(4)
    output, mean, var, rstd = batch_norm(input, weight, None, EPS)
    assert mean.tolist() == var.tolist() == [0.0] * 4
    assert batch_norm_statistics(input)[2] == 0
    assert batch_norm_eval(input, mean, var, weight, None, EPS).shape == shape
    grad_input, grad_weight, grad_bias = batch_norm_backward(
        torch.empty(shape), input, mean, rstd, weight, training=training
    )
    assert output.shape == grad_input.shape == shape
    assert grad_weight is not None
    assert grad_weight.tolist() == grad_bias.tolist() == [0.0] * 4


def test_channels_last_gives_the_same() -> None:
    input, weight, bias, grad_output = drawn((2, 6, 5, 3))
    output, mean, _, rstd = batch_norm(input, weight, bias, EPS)
    last = input.to(memory_format=torch.channels_last)
    torch.testing.assert_close(batch_norm(last, weight, bias, EPS)[0], output)
    expected = batch_norm_backward(grad_output, input, mean, rstd, weight, training=True)
    got = batch_norm_backward(grad_output, last, mean, rstd, weight, training=True)
    for ours, wanted in zip(got, expected, strict=True):
        torch.testing.assert_close(ours, wanted)


@settings(max_examples=40, deadline=None)
@given(
    parts=st.lists(st.integers(0, 6), min_size=1, max_size=5).filter(any),
    offset=st.sampled_from([0.0, 1e4]),
    seed=st.integers(0, 1000),
)
def test_merged_parts_are_the_joined_batch(parts: list[int], offset: float, seed: int) -> None:
    whole = drawn((sum(parts), 3, 2), seed=seed)[0] + offset
    found = [batch_norm_statistics(part) for part in whole.split(parts)]
    counts = torch.tensor([count for _, _, count in found])
    count, mean, m2 = merge(
        counts,
        torch.stack([mean for mean, _, _ in found]),
        torch.stack([var * count for _, var, count in found]),
    )
    joined = whole.transpose(0, 1).flatten(1).numpy()
    assert count.item() == joined.shape[1]
    np.testing.assert_allclose(mean, joined.mean(1), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(m2 / count, joined.var(1), rtol=1e-7, atol=1e-12)


def test_merging_in_float32_keeps_the_digits_of_far_means() -> None:
    whole = (drawn((64, 3))[0] + 1e4).float()
    found = [batch_norm_statistics(part) for part in whole.split([1, 20, 43])]
    count, mean, m2 = merge(
        torch.tensor([1, 20, 43]),
        torch.stack([mean for mean, _, _ in found]),
        torch.stack([var * count for _, var, count in found]),
    )
    expected = whole.double().numpy()
    np.testing.assert_allclose(mean, expected.mean(0), rtol=3e-7)
    np.testing.assert_allclose(m2 / count, expected.var(0), rtol=1e-3)


def test_merging_nothing_is_nothing() -> None:
    count, mean, m2 = merge(torch.zeros(2), torch.zeros(2, 3), torch.zeros(2, 3))
    assert count.item() == 0
    assert mean.tolist() == m2.tolist() == [0.0] * 3


@pytest.mark.parametrize("as_tensor", [True, False])
def test_the_gradients_of_parts_are_parts_of_the_gradient(as_tensor: bool) -> None:
    """What each rank computes from the sums over all ranks, against torch of the joined batch."""
    input, weight, bias, grad_output = drawn((9, 4, 3))
    leaves = [tensor.requires_grad_() for tensor in (input, weight, bias)]
    functional.batch_norm(input, None, None, weight, bias, True, 0.1, EPS).backward(grad_output)
    with torch.no_grad():
        _, mean, _, rstd = batch_norm(input, weight, bias, EPS)
        parts = list(zip(grad_output.split([2, 0, 7]), input.split([2, 0, 7]), strict=True))
        sums = [batch_norm_backward_sums(grad, part, mean, rstd) for grad, part in parts]
        grad_sum, grad_dot = (torch.stack(each).sum(0) for each in zip(*sums, strict=True))
        count = torch.tensor(27) if as_tensor else 27
        grads = [
            batch_norm_backward_input(grad, part, mean, rstd, weight, grad_sum, grad_dot, count)
            for grad, part in parts
        ]
    for got, leaf in zip((torch.cat(grads), grad_dot, grad_sum), leaves, strict=True):
        torch.testing.assert_close(got, leaf.grad)
