"""Rows as one function: gradients against finite differences, twice; large means; what it keeps; threads."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.autograd import forward_ad
from torch.nn import functional

from lightning_tune.errors import ArgumentError
from lightning_tune.norm.cpp.rows import RowNorm, row_norm
from lightning_tune.norm.functional import rms_norm

APPLY: Callable[..., Any] = RowNorm.apply


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


def rms(input: Tensor) -> Tensor:
    return row_norm(input, None, (input.shape[-1],), None, None, 1e-5, centred=False)[0]


def by_torch(input: Tensor) -> Tensor:
    return functional.rms_norm(input, (input.shape[-1],), None, 1e-5)


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated")  # in torch's own rules for tangents
def test_gradients_that_a_transform_hands_over() -> None:
    """Several at once, with a tangent, or none at all: what has no memory can't be read by kernels."""
    input, several = doubles(6, 8, seed=0), doubles(3, 6, 8, seed=1).detach()
    found, wanted = (
        torch.autograd.grad(call(input), input, several, is_grads_batched=True)[0] for call in (rms, by_torch)
    )
    torch.testing.assert_close(found, wanted)
    output = rms(input)
    found = torch.vmap(lambda grad: torch.autograd.grad(output, input, grad, retain_graph=True)[0])(several)
    torch.testing.assert_close(found, wanted)
    tangents = []
    for call in (rms, by_torch):
        output = call(input)
        with forward_ad.dual_level():
            dual = forward_ad.make_dual(several[0], several[1])
            (grad,) = torch.autograd.grad(output, input, dual)
            tangents.append(forward_ad.unpack_dual(grad).tangent)
    torch.testing.assert_close(*tangents)
    (grad,) = torch.autograd.grad(rms(input), input, torch._neg_view(several[0]))
    torch.testing.assert_close(grad, -wanted[0])
    zeros = torch._efficientzerotensor((6, 8), dtype=torch.float64)
    (grad,) = torch.autograd.grad(rms(input), input, zeros)
    assert not grad.any()
    assert rms_norm(zeros, [8], backend="auto").shape == (6, 8)
    with pytest.raises(ArgumentError, match="may lie in memory in its own way"):
        rms_norm(zeros, [8], backend="cpp")
    with FakeTensorMode(allow_non_fake_inputs=True):
        fake = torch.empty(6, 8, dtype=torch.float64)
    assert torch.autograd.grad(rms(input), input, fake)[0].shape == (6, 8)


@pytest.mark.parametrize("how", ["strides", "type"])
def test_what_hooks_make_of_what_was_kept(how: str) -> None:
    def pack(tensor: Tensor) -> Tensor:
        return tensor.transpose(0, -1).contiguous() if how == "strides" else tensor.float()

    def unpack(tensor: Tensor) -> Tensor:
        return tensor.transpose(0, -1) if how == "strides" else tensor

    input, upper = doubles(6, 8, seed=0), doubles(6, 8, seed=1).detach()
    with torch.autograd.graph.saved_tensors_hooks(pack, unpack):
        output = rms(input)
    (found,) = torch.autograd.grad(output, input, upper)
    (wanted,) = torch.autograd.grad(by_torch(input), input, upper)
    torch.testing.assert_close(found.double(), wanted, rtol=1e-5, atol=1e-5)


def test_a_weight_without_an_inverse_counts_as_zero() -> None:
    weight = torch.tensor([1.0, 1e-39, 2.0, 1.0], requires_grad=True)
    input = doubles(3, 4, seed=0).detach().float().requires_grad_()
    options = {"centred": True, "memory_efficient": True}
    output, _ = row_norm(input, torch.zeros(3, 4), (4,), weight, None, 1e-5, **options)
    torch.autograd.backward(output.sum())
    assert weight.grad is not None
    assert input.grad is not None
    assert weight.grad[1] == 0
    assert bool(input.grad.isfinite().all())


def test_sums_over_many_rows_lose_no_digits() -> None:
    input, weight = torch.full((100_000, 4), 0.1), torch.ones(4, requires_grad=True)
    output, _ = row_norm(input, None, (4,), weight, None, 0.0, centred=False)
    (grad,) = torch.autograd.grad(output, weight, torch.full_like(output, 0.1))
    torch.testing.assert_close(grad, torch.full((4,), 1e4), rtol=1e-5, atol=0)


def test_rows_of_nothing_are_differentiated_twice() -> None:
    input = torch.empty(3, 0, requires_grad=True)
    output, _ = row_norm(input, input, (0,), None, None, 1e-5, centred=True, memory_efficient=True)
    (grad,) = torch.autograd.grad(output.sum(), input, create_graph=True)
    assert grad.shape == (3, 0)
