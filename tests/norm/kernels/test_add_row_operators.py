"""Add and norm by kernels under everything that torch does to functions."""

from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor

from lightning_tune.norm.kernels import add_row_operators
from lightning_tune.norm.reference.layer import layer_norm

Derives = Callable[..., None]
EPS = 1e-3
# torch's own, of its forward mode
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")


def plain_layer_norm(x: Tensor, residual: Tensor, weight: Tensor, bias: Tensor) -> tuple[Tensor, ...]:
    total = x + residual
    centred = total - total.mean(-1, keepdim=True)
    return centred / (centred.square().mean(-1, keepdim=True) + EPS).sqrt() * weight + bias, total


def plain_rms_norm(x: Tensor, residual: Tensor, weight: Tensor) -> tuple[Tensor, ...]:
    total = x + residual
    return total / (total.square().mean(-1, keepdim=True) + EPS).sqrt() * weight, total


def ours_layer_norm(
    memory_efficient: bool, x: Tensor, residual: Tensor, weight: Tensor, bias: Tensor
) -> tuple[Tensor, ...]:
    return add_row_operators.add_layer_norm(x, residual, (x.shape[-1],), weight, bias, EPS, memory_efficient)


def ours_rms_norm(memory_efficient: bool, x: Tensor, residual: Tensor, weight: Tensor) -> tuple[Tensor, ...]:
    return add_row_operators.add_rms_norm(x, residual, (x.shape[-1],), weight, EPS, memory_efficient)


@pytest.mark.parametrize("memory_efficient", [False, True])
@pytest.mark.parametrize("kind", ["layer", "rms"])
def test_every_derivative(
    kind: str, memory_efficient: bool, assert_derives: Derives, device: torch.device
) -> None:
    torch.manual_seed(0)
    tensors = [torch.randn(2, 3, 4, device=device) for _ in range(2)]
    tensors += [torch.randn(4, device=device) / 4 + 1 for _ in range(2)]
    if kind == "layer":
        assert_derives(partial(ours_layer_norm, memory_efficient), plain_layer_norm, tensors)
    else:
        assert_derives(partial(ours_rms_norm, memory_efficient), plain_rms_norm, tensors[:3])


@pytest.mark.parametrize("memory_efficient", [False, True])
@pytest.mark.parametrize("kind", ["layer", "rms"])
@pytest.mark.parametrize("used", ["output", "sum", "both"])
def test_one_result_may_go_unused(kind: str, memory_efficient: bool, used: str, device: torch.device) -> None:
    leaves = [torch.randn(3, 5, device=device).requires_grad_() for _ in range(2)]
    weight = (torch.randn(5, device=device) / 4 + 1).requires_grad_()

    def grads(results: tuple[Tensor, ...]) -> list[Tensor]:
        losses = {"output": results[0].sin().sum(), "sum": results[1].cos().sum()}
        loss = losses["output"] + losses["sum"] if used == "both" else losses[used]
        return list(torch.autograd.grad(loss, [*leaves, weight], materialize_grads=True))

    if kind == "layer":
        found = grads(ours_layer_norm(memory_efficient, *leaves, weight, weight))
        expected = grads(plain_layer_norm(*leaves, weight, weight))
    else:
        found = grads(ours_rms_norm(memory_efficient, *leaves, weight))
        expected = grads(plain_rms_norm(*leaves, weight))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("memory_efficient", [False, True])
@pytest.mark.parametrize("weight", [False, True])
def test_without_parameters(weight: bool, memory_efficient: bool, device: torch.device) -> None:
    x, residual, given = (torch.randn(size, device=device) for size in ((3, 5), (3, 5), (5,)))
    x.requires_grad_()
    parameter = given if weight else None
    arguments = (x, residual, (5,), parameter)
    for found, expected in (
        (
            add_row_operators.add_layer_norm(*arguments, None, 1e-5, memory_efficient)[0],
            torch.nn.functional.layer_norm(x + residual, (5,), parameter),
        ),
        (
            add_row_operators.add_rms_norm(*arguments, None, memory_efficient)[0],
            torch.nn.functional.rms_norm(x + residual, (5,), parameter),
        ),
    ):
        torch.testing.assert_close(found, expected)
        grads = [torch.autograd.grad(one.sin().sum(), x)[0] for one in (found, expected)]
        torch.testing.assert_close(*grads, rtol=1e-4, atol=1e-4)


def test_a_residual_that_is_spread(device: torch.device) -> None:
    """One residual for all samples, as a position's embedding; its gradient is the sum."""
    x = torch.randn(4, 3, 5, device=device, requires_grad=True)
    residual = torch.randn(3, 5, device=device, requires_grad=True)
    output, total = add_row_operators.add_layer_norm(x, residual, (5,), None, None, 1e-5, False)
    expected = torch.nn.functional.layer_norm(x + residual, (5,))
    torch.testing.assert_close(output, expected)
    torch.testing.assert_close(total, x + residual)
    grads = [torch.autograd.grad(one.sin().sum(), [x, residual]) for one in (output, expected)]
    torch.testing.assert_close(*grads)


@pytest.mark.parametrize("memory_efficient", [False, True])
def test_mixed_types(memory_efficient: bool, device: torch.device) -> None:
    """A residual stream in float32 with a branch in bfloat16; each gradient has its own type."""
    x = torch.randn(3, 8, device=device, dtype=torch.bfloat16, requires_grad=True)
    residual = torch.randn(3, 8, device=device, requires_grad=True)
    output, total = add_row_operators.add_rms_norm(x, residual, (8,), None, None, memory_efficient)
    assert output.dtype == total.dtype == torch.float32
    grads = torch.autograd.grad((output * total).sum(), [x, residual])
    assert [grad.dtype for grad in grads] == [torch.bfloat16, torch.float32]
    torch.testing.assert_close(grads[0].float(), grads[1], rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize("memory_efficient", [False, True])
@pytest.mark.parametrize("kind", ["layer", "rms"])
def test_autocast_keeps_the_sum_narrow(
    kind: str, memory_efficient: bool, device: torch.device, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(add_row_operators, "output_dtype", lambda *inputs: torch.float32)
    x, residual = (
        torch.randn(3, 8, device=device, dtype=torch.bfloat16, requires_grad=True) for _ in range(2)
    )
    weight = torch.ones(8, device=device, requires_grad=True)
    ours = (
        ours_layer_norm(memory_efficient, x, residual, weight, weight)
        if kind == "layer"
        else ours_rms_norm(memory_efficient, x, residual, weight)
    )
    assert [one.dtype for one in ours] == [torch.float32, torch.bfloat16]
    total = ours[1].detach().float()
    plain = (
        plain_layer_norm(total, total * 0, weight, weight)
        if kind == "layer"
        else plain_rms_norm(total, total * 0, weight)
    )
    torch.testing.assert_close(ours[0], plain[0], rtol=1e-4, atol=1e-4)
    grads = torch.autograd.grad(ours[0].sin().sum() + ours[1].sum(), [x, residual, weight])
    assert [grad.dtype for grad in grads] == [torch.bfloat16, torch.bfloat16, torch.float32]


def test_the_sum_is_not_kept(device: torch.device) -> None:
    """What autograd saves: the sum by default, the output if `memory_efficient`."""
    x, residual = (torch.randn(3, 5, device=device, requires_grad=True) for _ in range(2))
    for memory_efficient, place in ((False, 1), (True, 0)):
        saved: list[Tensor] = []

        def keep(tensor: Tensor, saved: list[Tensor] = saved) -> Tensor:
            saved.append(tensor)
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            results = add_row_operators.add_layer_norm(x, residual, (5,), None, None, 1e-5, memory_efficient)
        places = [tensor.data_ptr() for tensor in saved]
        assert results[place].data_ptr() in places
        assert results[1 - place].data_ptr() not in places


def test_a_weight_of_zero_gets_no_gradient_from_the_output(device: torch.device) -> None:
    x, residual = (torch.randn(3, 5, device=device, requires_grad=True) for _ in range(2))
    weight = torch.tensor([1.0, 0.0, 2.0, 1.0, 1.0], device=device, requires_grad=True)
    bias = torch.randn(5, device=device)
    results = add_row_operators.add_layer_norm(x, residual, (5,), weight, bias, 1e-5, True)
    assert torch.autograd.grad(results[0].sin().sum(), weight)[0][1] == 0
    _, mean, rstd = layer_norm(results[1].detach(), (5,), weight, bias, 1e-5)
    assert mean.shape == rstd.shape == (3,)
