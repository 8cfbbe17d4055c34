from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from lightning_tune.norm.reference.layer import layer_norm, layer_norm_backward, layer_norm_recovered

EPS = 1e-5
SHAPES = [
    ((8,), 1),
    ((5, 8), 1),
    ((3, 2, 7), 1),
    ((3, 2, 7), 2),
    ((2, 3, 4, 5), 3),
    ((1, 1023), 1),
]


def drawn(
    shape: Sequence[int], normalized: int, dtype: torch.dtype = torch.float64, seed: int = 0
) -> list[Tensor]:
    """Return input, weight, bias and a gradient of the output."""
    draws = torch.Generator().manual_seed(seed)
    row = shape[len(shape) - normalized :]
    shapes = (shape, row, row, shape)
    return [torch.randn(shape, generator=draws, dtype=torch.float64).to(dtype) for shape in shapes]


class HandDerived(torch.autograd.Function):
    """The reference's forward pass with the reference's backward pass in place of torch's."""

    @staticmethod
    def forward(
        ctx: Any, input: Tensor, weight: Tensor | None, bias: Tensor | None, row: torch.Size
    ) -> Tensor:
        output, mean, rstd = layer_norm(input, row, weight, bias, EPS)
        ctx.save_for_backward(input, mean, rstd, weight)
        ctx.has_bias = bias is not None
        return output

    @staticmethod
    def backward(ctx: Any, grad_output: Tensor) -> tuple[Tensor | None, ...]:
        grad_input, grad_weight, grad_bias = layer_norm_backward(grad_output, *ctx.saved_tensors)
        return grad_input, grad_weight, grad_bias if ctx.has_bias else None, None


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize(("shape", "normalized"), SHAPES)
@pytest.mark.parametrize("affine", [(True, True), (True, False), (False, True), (False, False)])
def test_output_and_gradients_are_torchs(
    shape: tuple[int, ...], normalized: int, affine: tuple[bool, bool], dtype: torch.dtype
) -> None:
    input, weight, bias, grad_output = drawn(shape, normalized, dtype)
    leaves = [tensor.requires_grad_() for tensor in (input, weight, bias)]
    used = [tensor if wanted else None for tensor, wanted in zip(leaves[1:], affine, strict=True)]
    row = shape[len(shape) - normalized :]
    expected = functional.layer_norm(input, row, *used, EPS)
    output, mean, rstd = layer_norm(input, row, *used, EPS)
    torch.testing.assert_close(output, expected)
    assert mean.shape == rstd.shape == shape[: len(shape) - normalized]
    expected.backward(grad_output)
    with torch.no_grad():
        grads = layer_norm_backward(grad_output, input, mean, rstd, used[0])
    torch.testing.assert_close(grads[0], input.grad)
    if affine[0]:
        torch.testing.assert_close(grads[1], weight.grad)
    else:
        assert grads[1] is None
    torch.testing.assert_close(grads[2], grad_output.reshape(-1, *row).sum(0))


@pytest.mark.parametrize(("shape", "normalized"), [((5, 6), 1), ((2, 3, 4), 2), ((4,), 1)])
@pytest.mark.parametrize("affine", [True, False])
def test_first_and_second_derivatives_are_those_of_finite_differences(
    shape: tuple[int, ...], normalized: int, affine: bool
) -> None:
    input, weight, bias, _ = drawn(shape, normalized)
    row = weight.shape
    leaves = [tensor.requires_grad_() for tensor in (input, weight, bias)[: 3 if affine else 1]]

    def norm(input: Tensor, weight: Tensor | None = None, bias: Tensor | None = None) -> Tensor:
        result: Tensor = HandDerived.apply(input, weight, bias, row)
        return result

    assert torch.autograd.gradcheck(norm, leaves)
    assert torch.autograd.gradgradcheck(norm, leaves)


def test_the_backward_pass_is_differentiable_under_torch_func() -> None:
    input, weight, bias, grad_output = drawn((3, 5), 1)
    seeds = [tensor.flip(0) for tensor in (input, weight, bias)]
    _, mean, rstd = layer_norm(input, (5,), weight, bias, EPS)

    def ours(grad_output: Tensor, input: Tensor, weight: Tensor) -> tuple[Tensor | None, ...]:
        return layer_norm_backward(grad_output, input, mean, rstd, weight)

    _, pull = torch.func.vjp(ours, grad_output, input, weight)
    leaves = [tensor.clone().requires_grad_() for tensor in (grad_output, input, weight, bias)]
    first = torch.autograd.grad(
        functional.layer_norm(leaves[1], (5,), leaves[2], leaves[3], EPS),
        leaves[1:],
        leaves[0],
        create_graph=True,
    )
    expected = torch.autograd.grad(first, leaves[:3], seeds)
    for got, wanted in zip(pull(tuple(seeds)), expected, strict=True):
        torch.testing.assert_close(got, wanted)


@settings(max_examples=40, deadline=None)
@given(
    shape=st.lists(st.integers(0, 9), min_size=1, max_size=5),
    data=st.data(),
    seed=st.integers(0, 1000),
    offset=st.sampled_from([0.0, 1.0, 1e4]),
)
def test_any_shape_is_the_formula_row_by_row(
    shape: list[int], data: st.DataObject, seed: int, offset: float
) -> None:
    normalized = data.draw(st.integers(1, len(shape)))
    row = shape[len(shape) - normalized :]
    input, weight, bias, _ = drawn(shape, normalized, seed=seed)
    input = input + offset
    output, _, _ = layer_norm(input, row, weight, bias, EPS)
    assert output.shape == input.shape
    columns = int(np.prod(row))
    for got, x in zip(
        output.numpy().reshape(-1, max(1, columns)), input.numpy().reshape(-1, max(1, columns)), strict=True
    ):
        wanted = (x - x.mean()) / np.sqrt(x.var() + EPS) * weight.numpy().ravel() + bias.numpy().ravel()
        np.testing.assert_allclose(got, wanted, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("offset", [0.0, 1e4])
def test_narrow_types_lose_no_more_than_one_rounding(dtype: torch.dtype, offset: float) -> None:
    """Against float64 from the same stored values: rounding of the result, and of the float32 mean."""
    input, weight, bias, grad_output = drawn((9, 257), 1)
    input = (input * (1 if dtype == torch.float32 else 50) + offset).to(dtype)
    weight, bias, grad_output = (tensor.to(dtype) for tensor in (weight, bias, grad_output))
    wide = [tensor.double().requires_grad_() for tensor in (input, weight, bias)]
    expected = functional.layer_norm(wide[0], (257,), wide[1], wide[2], EPS)
    expected.backward(grad_output.double())
    output, mean, rstd = layer_norm(input, (257,), weight, bias, EPS)
    grads = layer_norm_backward(grad_output, input, mean, rstd, weight)
    assert mean.dtype == rstd.dtype == torch.float32
    slack = torch.finfo(dtype).eps + 4 * torch.finfo(torch.float32).eps * (4 + offset)
    for got, wanted in zip((output, *grads), (expected, *(leaf.grad for leaf in wide)), strict=True):
        assert got is not None
        assert wanted is not None
        assert got.dtype == dtype
        torch.testing.assert_close(got.double(), wanted, rtol=slack, atol=slack * wanted.abs().max().item())


@pytest.mark.parametrize(("shape", "row"), [((0, 4), (4,)), ((3, 0), (0,)), ((2, 0, 4), (4,))])
def test_nothing_in_nothing_out(shape: tuple[int, ...], row: tuple[int, ...]) -> None:
    input, weight, grad = torch.empty(shape), torch.ones(row), torch.empty(shape)
    output, mean, rstd = layer_norm(input, row, weight, None, EPS)
    grad_input, grad_weight, grad_bias = layer_norm_backward(grad, input, mean, rstd, weight)
    assert output.shape == grad_input.shape == shape
    assert grad_weight is not None
    assert grad_weight.tolist() == grad_bias.tolist() == [0.0] * row[0]


def test_a_row_of_one_element_is_its_bias() -> None:
    """Exactly, in float32 too: torch's own operator leaves a rounding error there, times 1 / sqrt(eps)."""
    input, weight, bias, grad_output = drawn((6, 1), 1, torch.float32)
    output, mean, rstd = layer_norm(input, (1,), weight, bias, EPS)
    grads = layer_norm_backward(grad_output, input, mean, rstd, weight)
    assert torch.equal(output, bias.expand(6, 1))
    assert grads[1] is not None
    assert grads[0].count_nonzero() == grads[1].count_nonzero() == 0


@pytest.mark.parametrize("has_bias", [True, False])
@pytest.mark.parametrize("has_weight", [True, False])
def test_rows_recovered_from_the_output_give_the_same_gradients(has_weight: bool, has_bias: bool) -> None:
    input, weight, bias, grad_output = drawn((4, 6), 1)
    used = weight if has_weight else None, bias if has_bias else None
    output, mean, rstd = layer_norm(input, (6,), *used, EPS)
    recovered = layer_norm_recovered(output, rstd, *used)
    torch.testing.assert_close(recovered, input - mean[:, None])
    expected = layer_norm_backward(grad_output, input, mean, rstd, used[0])
    got = layer_norm_backward(grad_output, recovered, torch.zeros_like(mean), rstd, used[0])
    for ours, wanted in zip(got, expected, strict=True):
        torch.testing.assert_close(ours, wanted)


def test_second_derivatives_by_recovered_rows_are_those_by_the_input() -> None:
    input, weight, bias, grad_output = drawn((4, 6), 1)
    output, mean, rstd = layer_norm(input, (6,), weight, bias, EPS)
    stand_in = layer_norm_recovered(output, rstd, weight, bias).requires_grad_()
    got = layer_norm_backward(grad_output, stand_in, torch.zeros_like(mean), rstd, weight)[0]
    (of_got,) = torch.autograd.grad(got, stand_in, input)
    leaf = input.clone().requires_grad_()
    (first,) = torch.autograd.grad(
        functional.layer_norm(leaf, (6,), weight, bias, EPS), leaf, grad_output, create_graph=True
    )
    (expected,) = torch.autograd.grad(first, leaf, input)
    torch.testing.assert_close(of_got, expected)


def test_a_column_of_weight_zero_counts_as_at_the_mean() -> None:
    input, weight, bias, _ = drawn((4, 6), 1)
    weight[2] = 0
    output, mean, rstd = layer_norm(input, (6,), weight, bias, EPS)
    recovered = layer_norm_recovered(output, rstd, weight, bias)
    assert recovered[:, 2].tolist() == [0.0] * 4
    others = [0, 1, 3, 4, 5]
    torch.testing.assert_close(recovered[:, others], (input - mean[:, None])[:, others])


def test_strides_do_not_matter() -> None:
    input, weight, bias, grad_output = drawn((6, 10), 1)
    spread = torch.zeros(6, 20, dtype=torch.float64)[:, ::2].copy_(input)
    turned = grad_output.t().contiguous().t()
    output, mean, rstd = layer_norm(input, (10,), weight, bias, EPS)
    torch.testing.assert_close(layer_norm(spread, (10,), weight, bias, EPS)[0], output)
    expected = layer_norm_backward(grad_output, input, mean, rstd, weight)
    for got, wanted in zip(layer_norm_backward(turned, spread, mean, rstd, weight), expected, strict=True):
        torch.testing.assert_close(got, wanted)
