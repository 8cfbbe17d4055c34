"""Operators made differentiable, on one so simple that its derivatives are known."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.library import custom_op

from lightning_tune.norm.kernels.differentiable import differentiable

Derives = Callable[..., None]
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")
calls: list[str] = []


@custom_op("lightning_tune_test::scaled_square", mutates_args=())
def scaled_square(x: Tensor, weight: Tensor, power: int) -> tuple[Tensor, Tensor]:
    """Return weight · x^power and x^(power - 1), as numbers that torch knows nothing of."""
    calls.append("forward")
    return weight * x**power, x ** (power - 1)


@scaled_square.register_fake
def _(x: Tensor, weight: Tensor, power: int) -> tuple[Tensor, Tensor]:
    return torch.empty_like(weight * x), torch.empty_like(x)


@custom_op("lightning_tune_test::scaled_square_backward", mutates_args=())
def scaled_square_backward(grad: Tensor, x: Tensor, weight: Tensor, power: int) -> tuple[Tensor, Tensor]:
    calls.append("backward")
    return grad * weight * power * x ** (power - 1), (grad * x**power).sum_to_size(weight.shape)


@scaled_square_backward.register_fake
def _(grad: Tensor, x: Tensor, weight: Tensor, power: int) -> tuple[Tensor, Tensor]:
    return torch.empty_like(x), torch.empty_like(weight)


def plain(x: Tensor, weight: Tensor, power: int) -> tuple[Tensor, Tensor]:
    return weight * x**power, x ** (power - 1)


def plain_backward(grad: Tensor, x: Tensor, weight: Tensor, power: int) -> tuple[Tensor, Tensor]:
    return grad * weight * power * x ** (power - 1), (grad * x**power).sum_to_size(weight.shape)


backward_function = differentiable(scaled_square_backward, plain_backward)


def keep(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> tuple[int, ...]:
    ctx.save_for_backward(inputs[0], inputs[1])
    ctx.power = inputs[2]
    return (1,)


def pull(ctx: Any, grad: Tensor | None, _: None) -> tuple[Tensor | None, ...]:
    if grad is None:
        return None, None, None
    return *backward_function(grad, *ctx.saved_tensors, ctx.power), None


function = differentiable(scaled_square, plain, keep, pull, batched=1)


def test_every_derivative(assert_derives: Derives) -> None:
    torch.manual_seed(0)
    tensors = [torch.randn(2, 3, 4), torch.randn(4)]
    assert_derives(
        lambda x, weight: function(x, weight, 3)[:1], lambda x, weight: plain(x, weight, 3)[:1], tensors
    )


def test_a_result_that_is_not_differentiated() -> None:
    x, weight = torch.randn(3, requires_grad=True), torch.ones(1)
    result, fixed = function(x, weight, 2)
    assert result.requires_grad
    assert not fixed.requires_grad
    _, tangents = torch.func.jvp(lambda x: function(x, weight, 2), (x.detach(),), (torch.ones(3),))
    torch.testing.assert_close(tangents[0], 2 * x.detach())
    assert not tangents[1].any()


def test_the_operators_do_the_first_derivative() -> None:
    calls.clear()
    x, weight = torch.randn(3, requires_grad=True), torch.ones(1, requires_grad=True)
    function(x, weight, 2)[0].sum().backward()
    assert calls == ["forward", "backward"]


def test_vmap_over_what_may_be_batched_is_one_call() -> None:
    calls.clear()
    x, weight = torch.randn(4, 5, 3), torch.randn(3)
    found, _ = torch.func.vmap(lambda x: function(x, weight, 2), in_dims=1)(x)
    assert calls == ["forward"]
    torch.testing.assert_close(found, (weight * x**2).movedim(1, 0))


def test_vmap_over_a_parameter_is_plain() -> None:
    calls.clear()
    x, weight = torch.randn(5, 3), torch.randn(4, 3)
    found, _ = torch.func.vmap(lambda weight: function(x, weight, 2))(weight)
    assert calls == []
    torch.testing.assert_close(found, weight[:, None] * x**2)


def test_without_gradients_nothing_is_saved() -> None:
    with torch.no_grad():
        assert not function(torch.ones(2, requires_grad=True), torch.ones(1), 2)[0].requires_grad
