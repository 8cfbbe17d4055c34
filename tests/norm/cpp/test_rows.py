"""Rows as one function: gradients against finite differences, twice; large means; what it keeps; threads."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from lightning_tune.norm.cpp.rows import RowNorm, row_norm

APPLY: Callable[..., Any] = RowNorm.apply


@pytest.fixture
def three_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


def doubles(*shape: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64).requires_grad_()


@pytest.mark.parametrize("centred", [True, False])
@pytest.mark.parametrize("memory_efficient", [False, True])
@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("parameters", [0, 1, 2])
def test_first_and_second_derivatives(
    centred: bool, memory_efficient: bool, compiled: bool, parameters: int
) -> None:
    inputs = (doubles(3, 2, 3, seed=0), doubles(3, 2, 3, seed=1))
    given = (doubles(2, 3, seed=2), doubles(2, 3, seed=3))[: min(parameters, 2 if centred else 1)]

    def call(input: Tensor, residual: Tensor, *rest: Tensor) -> tuple[Tensor, ...]:
        weight, bias = (*rest, None, None)[:2]
        found = APPLY(input, residual, weight, bias, (2, 3), 1e-3, centred, memory_efficient, compiled)
        return tuple(each for each in found if each is not None)

    assert torch.autograd.gradcheck(call, (*inputs, *given))
    assert torch.autograd.gradgradcheck(call, (*inputs, *given))


@pytest.mark.parametrize("centred", [True, False])
def test_derivatives_without_a_residual(centred: bool) -> None:
    def call(input: Tensor, weight: Tensor) -> Tensor:
        return row_norm(input, None, (5,), weight, None, 1e-3, centred=centred)[0]

    values = (doubles(4, 5, seed=0), doubles(5, seed=1))
    assert torch.autograd.gradcheck(call, values)
    assert torch.autograd.gradgradcheck(call, values)


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
        options = {"centred": centred, "memory_efficient": memory_efficient}
        output, _ = row_norm(input, torch.zeros_like(input), (64,), weight, None, 1e-5, **options)
        gradients.append(torch.autograd.grad(output, input, grad)[0].double())
    torch.testing.assert_close(*gradients, rtol=0, atol=4e-3 * float(gradients[1].abs().max()))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("columns", [1, 2, 15, 16, 33, 1023, 65_537])
def test_any_width(dtype: torch.dtype, columns: int) -> None:
    input = doubles(4, columns, seed=0).detach().to(dtype)
    output, same = row_norm(input, None, (columns,), None, None, 1e-5, centred=True)
    wanted = functional.layer_norm(input.double(), (columns,))
    assert same is input
    torch.testing.assert_close(output.double(), wanted, rtol=0, atol=16 * torch.finfo(dtype).eps)


def test_rows_that_are_not_in_one_piece_of_memory() -> None:
    values, other = doubles(6, 8, seed=0), doubles(4, 6, seed=1)
    input = values.t()[::2]
    output, total = row_norm(input, other, (6,), None, None, 1e-5, centred=True)
    assert torch.equal(total, input + other)
    (grad,) = torch.autograd.grad(output.t().square().sum() + total.sum(), values)
    sum_of_both = input + other
    wanted = functional.layer_norm(sum_of_both, (6,)).square().sum() + sum_of_both.sum()
    torch.testing.assert_close(grad, torch.autograd.grad(wanted, values)[0])


def test_threads_share_the_rows(three_threads: None) -> None:
    """The input is large enough for three; the same bits each time, and the values of one thread."""
    input, residual, weight = doubles(401, 257, seed=0), doubles(401, 257, seed=1), doubles(257, seed=2)
    found = []
    for threads in (3, 3, 1):
        torch.set_num_threads(threads)
        output, total = row_norm(input, residual, (257,), weight, None, 1e-5, centred=True)
        grads = torch.autograd.grad((output * total).sum(), (input, weight))
        found.append((output, *grads))
    for first, second, alone in zip(*found, strict=True):
        assert torch.equal(first, second)
        torch.testing.assert_close(first, alone)


@given(st.integers(1, 9), st.integers(1, 40), st.integers(0, 2**32 - 1), st.booleans())
@settings(deadline=None, max_examples=50)
def test_a_row_does_not_see_the_others(rows: int, columns: int, seed: int, centred: bool) -> None:
    input = doubles(rows, columns, seed=seed).detach().float()
    whole = row_norm(input, None, (columns,), None, None, 1e-5, centred=centred)[0]
    for row in range(rows):
        alone = row_norm(input[row], None, (columns,), None, None, 1e-5, centred=centred)[0]
        assert torch.equal(whole[row], alone)


@pytest.mark.parametrize("compiled", [False, True])
def test_a_kept_output_that_is_changed_is_noticed(compiled: bool) -> None:
    input, residual = doubles(3, 4, seed=0), doubles(3, 4, seed=1)
    output, _, _ = APPLY(input, residual, None, None, (4,), 1e-5, True, True, compiled)
    loss = output.mul_(2).sum()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        torch.autograd.backward(loss)


def test_empty_rows() -> None:
    input, weight = torch.empty(0, 3, requires_grad=True), torch.ones(3, requires_grad=True)
    output, _ = row_norm(input, None, (3,), weight, None, 1e-5, centred=True)
    torch.autograd.backward(output.sum())
    assert output.shape == (0, 3)
    assert weight.grad is not None
    assert weight.grad.tolist() == [0, 0, 0]
