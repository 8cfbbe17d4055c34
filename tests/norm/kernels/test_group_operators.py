"""Group norm by kernels under everything that torch does to functions."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from lightning_tune.norm.kernels import group_operators

Derives = Callable[..., None]
EPS = 1e-3
# torch's own, of its forward mode
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")


def plain(x: Tensor, weight: Tensor | None = None, bias: Tensor | None = None) -> tuple[Tensor, ...]:
    rows = x.unflatten(1, (2, -1))
    centred = rows - rows.mean((2, 3), keepdim=True)
    y = (centred / (centred.square().mean((2, 3), keepdim=True) + EPS).sqrt()).flatten(1, 2)
    y = y if weight is None else y * weight[:, None]
    return (y if bias is None else y + bias[:, None],)


def ours(x: Tensor, weight: Tensor | None = None, bias: Tensor | None = None) -> tuple[Tensor, ...]:
    return (group_operators.group_norm(x, 2, weight, bias, EPS),)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_every_derivative(count: int, assert_derives: Derives, device: torch.device) -> None:
    torch.manual_seed(0)
    tensors = [torch.randn(size, device=device) for size in ((3, 4, 5), (4,), (4,))][:count]
    assert_derives(ours, plain, tensors)


@pytest.mark.parametrize(
    "size", [(5, 6), (5, 6, 4), (5, 6, 4, 2), (2, 6, 4, 2, 3), (1, 6, 70, 71), (0, 6, 2)]
)
def test_shapes_of_torch(size: tuple[int, ...], device: torch.device) -> None:
    x = torch.randn(size, device=device, requires_grad=True)
    weight, bias = (torch.randn(6, device=device, requires_grad=True) for _ in range(2))
    y = group_operators.group_norm(x, 3, weight, bias, EPS)
    expected = functional.group_norm(x, 3, weight, bias, EPS)
    torch.testing.assert_close(y, expected)
    grads = [torch.autograd.grad(one.sin().sum(), [x, weight, bias]) for one in (y, expected)]
    torch.testing.assert_close(*grads, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_parameters_of_several_types(dtype: torch.dtype, device: torch.device) -> None:
    x = torch.randn(6, 4, 7, device=device).to(dtype).requires_grad_()
    weight = torch.randn(4, device=device, requires_grad=True)
    half = torch.randn(4, device=device).to(dtype).requires_grad_()
    for parameters in ((weight, half), (half, weight), (half, half)):
        (y,) = ours(x, *parameters)
        (exact,) = plain(x.double(), *(each.double() for each in parameters))
        leaves = [x, *dict.fromkeys(parameters)]
        grads, wanted = (torch.autograd.grad(one.sum(), leaves, create_graph=True) for one in (y, exact))
        assert [one.dtype for one in (y, *grads)] == [one.dtype for one in (x, *leaves)]
        for one, other in zip((y, *grads), (exact, *wanted), strict=True):
            bound = 8 * torch.finfo(dtype).eps
            torch.testing.assert_close(one.double(), other.double(), rtol=bound, atol=bound)
        assert torch.autograd.grad(grads[0].float().square().sum(), x)[0].dtype == dtype


def test_output_in_float32_under_autocast(device: torch.device, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group_operators, "output_dtype", lambda *inputs: torch.float32)
    x = torch.randn(3, 8, 5, device=device, dtype=torch.bfloat16, requires_grad=True)
    weight = torch.randn(8, device=device, requires_grad=True)
    y = group_operators.group_norm(x, 2, weight, None, EPS)
    expected = functional.group_norm(x.float(), 2, weight, eps=EPS)
    torch.testing.assert_close(y, expected)
    grads = [torch.autograd.grad(one.sin().sum(), [x, weight]) for one in (y, expected)]
    torch.testing.assert_close(*grads, rtol=2e-2, atol=2e-2)


def test_what_needs_no_gradient_gets_none(device: torch.device) -> None:
    x, weight = torch.randn(3, 4, device=device), torch.randn(4, device=device, requires_grad=True)
    group_operators.group_norm(x, 2, weight, None, EPS).sum().backward()
    assert x.grad is None
    assert weight.grad is not None
    assert not group_operators.group_norm(x, 2, None, None, EPS).requires_grad


FAKE = """
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from lightning_tune.norm.kernels import group_operators

with FakeTensorMode():
    for size, groups in (((256, 512), 32), ((8, 64, 56, 56), 32), ((8, 64, 56, 56), 2), ((2, 6, 3, 4, 5), 3)):
        for order in (torch.contiguous_format, torch.channels_last):
            x = torch.empty(size, device="cuda", dtype=torch.bfloat16)
            if len(size) == 4:
                x = x.to(memory_format=order)
            vector = torch.empty(size[1], device="cuda")
            given = (x, groups, vector, vector, 1e-5, torch.float32)
            y, mean, rstd = torch.ops.lightning_tune.group_norm(*given)
            assert (y.shape, y.stride(), y.dtype, y.device) == (x.shape, x.stride(), torch.float32, x.device)
            assert mean.shape == rstd.shape == (size[0], groups)
            grads = torch.ops.lightning_tune.group_norm_backward(y, x, mean, rstd, vector, groups)
            assert [grad.shape for grad in grads] == [x.shape, vector.shape, vector.shape]
            assert (grads[0].stride(), grads[0].dtype) == (x.stride(), x.dtype)
print("done")
"""


def test_fake_tensors_of_a_gpu(compiled: Callable[..., str]) -> None:
    assert compiled("-c", FAKE) == "done\n"
