from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from lightning_tune.norm.reference.rms import rms_norm, rms_norm_backward, rms_norm_recovered

EPS = 1e-5
SHAPES = [
    ((8,), 1),
    ((5, 8), 1),
    ((3, 2, 7), 1),
    ((3, 2, 7), 2),
    ((2, 3, 4, 5), 3),
    ((1, 1023), 1),
    ((6, 1), 1),
]


def drawn(
    shape: Sequence[int], normalized: int, dtype: torch.dtype = torch.float64, seed: int = 0
) -> list[Tensor]:
    """Return input, weight and a gradient of the output."""
    draws = torch.Generator().manual_seed(seed)
    shapes = (shape, shape[len(shape) - normalized :], shape)
    return [torch.randn(shape, generator=draws, dtype=torch.float64).to(dtype) for shape in shapes]


class HandDerived(torch.autograd.Function):
    """The reference's forward pass with the reference's backward pass in place of torch's."""

    @staticmethod
    def forward(ctx: Any, input: Tensor, weight: Tensor | None, row: torch.Size) -> Tensor:
        output, rstd = rms_norm(input, row, weight, EPS)
        ctx.save_for_backward(input, rstd, weight)
        return output

    @staticmethod
    def backward(ctx: Any, grad_output: Tensor) -> tuple[Tensor | None, ...]:
        return (*rms_norm_backward(grad_output, *ctx.saved_tensors), None)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("eps", [None, 1e-5])
@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize(("shape", "normalized"), SHAPES)
def test_output_and_gradients_are_torchs(
    shape: tuple[int, ...], normalized: int, affine: bool, eps: float | None, dtype: torch.dtype
) -> None:
    input, weight, grad_output = drawn(shape, normalized, dtype)
    leaves = [tensor.requires_grad_() for tensor in (input, weight)]
    used = leaves[1] if affine else None
    row = shape[len(shape) - normalized :]
    expected = functional.rms_norm(input, row, used, eps)
    output, rstd = rms_norm(input, row, used, eps)
    torch.testing.assert_close(output, expected)
    assert rstd.shape == shape[: len(shape) - normalized]
    expected.backward(grad_output)
    with torch.no_grad():
        grad_input, grad_weight = rms_norm_backward(grad_output, input, rstd, used)
    torch.testing.assert_close(grad_input, input.grad)
    if affine:
        torch.testing.assert_close(grad_weight, weight.grad)
    else:
        assert grad_weight is None


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_the_default_eps_is_that_of_the_type_computed_in(dtype: torch.dtype) -> None:
    """Of rows so small that eps decides: in bfloat16 its own eps would give 0.04 where torch gives 1."""
    input = (drawn((4, 8), 1)[0] * 1e-3).to(dtype)
    output, _ = rms_norm(input, (8,), None, None)
    expected = functional.rms_norm(input, (8,))
    torch.testing.assert_close(output, expected)
    eps = torch.finfo(torch.promote_types(dtype, torch.float32)).eps
    wide = input.double()
    by_hand = wide / (wide.square().mean(-1, keepdim=True) + eps).sqrt()
    torch.testing.assert_close(output, by_hand.to(dtype))


@pytest.mark.parametrize(("shape", "normalized"), [((5, 6), 1), ((2, 3, 4), 2), ((4,), 1)])
@pytest.mark.parametrize("affine", [True, False])
def test_first_and_second_derivatives_are_those_of_finite_differences(
    shape: tuple[int, ...], normalized: int, affine: bool
) -> None:
    input, weight, _ = drawn(shape, normalized)
    row = weight.shape
    leaves = [tensor.requires_grad_() for tensor in (input, weight)[: 2 if affine else 1]]

    def norm(input: Tensor, weight: Tensor | None = None) -> Tensor:
        result: Tensor = HandDerived.apply(input, weight, row)
        return result

    assert torch.autograd.gradcheck(norm, leaves)
    assert torch.autograd.gradgradcheck(norm, leaves)


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
    input, weight, _ = drawn(shape, normalized, seed=seed)
    input = input + offset
    output, _ = rms_norm(input, row, weight, EPS)
    assert output.shape == input.shape
    columns = max(1, int(np.prod(row)))
    for got, x in zip(output.numpy().reshape(-1, columns), input.numpy().reshape(-1, columns), strict=True):
        wanted = x / np.sqrt((x * x).mean() + EPS) * weight.numpy().ravel()
        np.testing.assert_allclose(got, wanted, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("offset", [0.0, 1e4])
def test_narrow_types_lose_no_more_than_one_rounding(dtype: torch.dtype, offset: float) -> None:
    """Against float64 from the same stored values; a float16 of 1e4 squares to more than float16 can hold."""
    input, weight, grad_output = drawn((9, 257), 1)
    input = (input * 50 + offset).to(dtype)
    weight, grad_output = weight.to(dtype), grad_output.to(dtype)
    wide = [tensor.double().requires_grad_() for tensor in (input, weight)]
    expected = functional.rms_norm(wide[0], (257,), wide[1], EPS)
    expected.backward(grad_output.double())
    output, rstd = rms_norm(input, (257,), weight, EPS)
    assert rstd.dtype == torch.float32
    slack = torch.finfo(dtype).eps + 16 * torch.finfo(torch.float32).eps
    for got, wanted in zip(
        (output, *rms_norm_backward(grad_output, input, rstd, weight)),
        (expected, *(leaf.grad for leaf in wide)),
        strict=True,
    ):
        assert got is not None
        assert wanted is not None
        assert got.dtype == dtype
        torch.testing.assert_close(got.double(), wanted, rtol=slack, atol=slack * wanted.abs().max().item())


@pytest.mark.parametrize(("shape", "row"), [((0, 4), (4,)), ((3, 0), (0,)), ((2, 0, 4), (4,))])
def test_nothing_in_nothing_out(shape: tuple[int, ...], row: tuple[int, ...]) -> None:
    input, weight = torch.empty(shape), torch.ones(row)
    output, rstd = rms_norm(input, row, weight, EPS)
    grad_input, grad_weight = rms_norm_backward(torch.empty(shape), input, rstd, weight)
    assert output.shape == grad_input.shape == shape
    assert grad_weight is not None
    assert grad_weight.tolist() == [0.0] * row[0]


@pytest.mark.parametrize("affine", [True, False])
def test_rows_recovered_from_the_output_give_the_same_gradients(affine: bool) -> None:
    input, weight, grad_output = drawn((4, 6), 1)
    used = weight if affine else None
    output, rstd = rms_norm(input, (6,), used, EPS)
    recovered = rms_norm_recovered(output, rstd, used)
    torch.testing.assert_close(recovered, input)
    expected = rms_norm_backward(grad_output, input, rstd, used)
    for ours, wanted in zip(rms_norm_backward(grad_output, recovered, rstd, used), expected, strict=True):
        torch.testing.assert_close(ours, wanted)


def test_a_column_of_weight_zero_counts_as_zero() -> None:
    input, weight, _ = drawn((4, 6), 1)
    weight[2] = 0
    output, rstd = rms_norm(input, (6,), weight, EPS)
    recovered = rms_norm_recovered(output, rstd, weight)
    assert recovered[:, 2].tolist() == [0.0] * 4
    others = [0, 1, 3, 4, 5]
    torch.testing.assert_close(recovered[:, others], input[:, others])
