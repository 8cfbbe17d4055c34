"""Batch norm by kernels under everything that torch does to functions."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from lightning_tune.norm.kernels import channel_operators

Derives = Callable[..., None]
EPS = 1e-3
MEAN, VARIANCE = (0.5, -1.0, 2.0), (0.3, 1.0, 2.0)
# torch's own, of its forward mode
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")


@pytest.fixture(autouse=True)
def _nothing_compiled() -> None:
    """The tests compile one function more often than torch lets one be compiled again."""
    torch.compiler.reset()


def activated(z: Tensor, activation: str) -> Tensor:
    return z if activation == "none" else getattr(functional, activation)(z)


def affine(normal: Tensor, weight: Tensor | None, bias: Tensor | None) -> Tensor:
    if weight is not None:
        normal = normal * weight[:, None]
    return normal if bias is None else normal + bias[:, None]


def plain(
    activation: str, training: bool, x: Tensor, weight: Tensor | None = None, bias: Tensor | None = None
) -> tuple[Tensor, ...]:
    mean, var = (x.new_tensor(values)[:, None] for values in (MEAN, VARIANCE))
    if training:
        mean = x.mean((0, 2), keepdim=True)
        var = (x - mean).square().mean((0, 2), keepdim=True)
    return (activated(affine((x - mean) / (var + EPS).sqrt(), weight, bias), activation),)


def ours(
    activation: str, training: bool, x: Tensor, weight: Tensor | None = None, bias: Tensor | None = None
) -> tuple[Tensor, ...]:
    if training:
        return (channel_operators.batch_norm(x, weight, bias, EPS, activation)[0],)
    running = (x.new_tensor(MEAN), x.new_tensor(VARIANCE))
    return (channel_operators.batch_norm_eval(x, *running, weight, bias, EPS, activation),)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(
    ("activation", "count"), [("none", 1), ("none", 3), ("relu", 3), ("silu", 2), ("gelu", 3)]
)
def test_every_derivative(
    activation: str, count: int, training: bool, assert_derives: Derives, device: torch.device
) -> None:
    torch.manual_seed(0)
    tensors = [torch.randn(size, device=device) for size in ((4, 3, 5), (3,), (3,))][:count]
    assert_derives(
        lambda *given: ours(activation, training, *given),
        lambda *given: plain(activation, training, *given),
        tensors,
    )


@pytest.mark.parametrize("size", [(5, 3), (5, 3, 4), (5, 3, 4, 2), (2, 3, 4, 2, 3)])
def test_shapes_and_statistics_of_torch(size: tuple[int, ...], device: torch.device) -> None:
    x = torch.randn(size, device=device, requires_grad=True)
    weight, bias = (torch.randn(3, device=device, requires_grad=True) for _ in range(2))
    running = [torch.zeros(3, device=device), torch.zeros(3, device=device)]
    expected = functional.batch_norm(x, *running, weight, bias, training=True, momentum=1.0, eps=EPS)
    y, mean, var = channel_operators.batch_norm(x, weight, bias, EPS, "none")
    torch.testing.assert_close(y, expected)
    count = x.numel() // 3
    torch.testing.assert_close([mean, var * count / (count - 1)], running)
    assert not mean.requires_grad
    assert not var.requires_grad
    leaves = [x, weight, bias]
    grads = [torch.autograd.grad(one.sin().sum(), leaves) for one in (y, expected)]
    torch.testing.assert_close(*grads)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("training", [True, False])
def test_sixteen_bits_with_parameters_of_float32(
    dtype: torch.dtype, training: bool, device: torch.device
) -> None:
    x = torch.randn(6, 3, 7, device=device).to(dtype).requires_grad_()
    weight, bias = (torch.randn(3, device=device, requires_grad=True) for _ in range(2))
    (y,) = ours("gelu", training, x, weight, bias)
    (exact,) = plain("gelu", training, x.double(), weight.double(), bias.double())
    grads, wanted = (torch.autograd.grad(one.sum(), [x, weight, bias]) for one in (y, exact))
    assert [one.dtype for one in (y, *grads)] == [dtype, dtype, torch.float32, torch.float32]
    for one, other in zip((y, *grads), (exact, *wanted), strict=True):
        bound = 4 * torch.finfo(dtype).eps
        torch.testing.assert_close(one.double(), other.double(), rtol=bound, atol=bound)


@pytest.mark.parametrize("training", [True, False])
def test_second_derivative_with_parameters_of_several_types(training: bool, device: torch.device) -> None:
    x = torch.randn(6, 3, 7, device=device).bfloat16().requires_grad_()
    weight = torch.randn(3, device=device, requires_grad=True)
    for parameters in ((weight, weight.bfloat16()), (None, weight), (weight, None)):
        (y,) = ours("silu", training, x, *parameters)
        (grad,) = torch.autograd.grad(y.sum(), x, create_graph=True)
        again = torch.autograd.grad(grad.float().square().sum(), x)[0]
        assert again.dtype == torch.bfloat16
        assert again.isfinite().all()


def test_statistics_of_sixteen_bits(device: torch.device) -> None:
    x = torch.randn(6, 3, 7, device=device)
    mean, var = torch.randn(3, device=device).bfloat16(), torch.rand(3, device=device).bfloat16() + 1
    found = channel_operators.batch_norm_eval(x, mean, var, None, None, EPS, "none")
    torch.testing.assert_close(found, functional.batch_norm(x, mean.float(), var.float(), eps=EPS))


def test_what_needs_no_gradient_gets_none(device: torch.device) -> None:
    x, weight = torch.randn(3, 4, device=device), torch.randn(4, device=device, requires_grad=True)
    channel_operators.batch_norm(x, weight, None, EPS, "relu")[0].sum().backward()
    assert x.grad is None
    assert weight.grad is not None
    assert not channel_operators.batch_norm(x, None, None, EPS, "relu")[0].requires_grad


@pytest.mark.parametrize("training", [True, False])
def test_channels_last_under_torch_compile(training: bool, device: torch.device) -> None:
    x = torch.randn(4, 3, 5, 6, device=device).to(memory_format=torch.channels_last).requires_grad_()
    running = (torch.zeros(3, device=device), torch.ones(3, device=device))

    def function(x: Tensor) -> Tensor:
        if training:
            return channel_operators.batch_norm(x * 2, None, None, EPS, "silu")[0]
        return channel_operators.batch_norm_eval(x * 2, *running, None, None, EPS, "silu")

    compiled = torch.compile(function, fullgraph=True, backend="aot_eager")
    for one in (compiled, function):
        y = one(x)
        assert y.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(compiled(x), function(x))
    grads = [torch.autograd.grad(one(x).sin().sum(), x)[0] for one in (compiled, function)]
    torch.testing.assert_close(*grads)


FAKE = """
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx.experimental.proxy_tensor import make_fx
from lightning_tune.norm.kernels import channel_operators

with FakeTensorMode():
    for size in ((256, 512), (8, 64, 56, 56), (2, 5, 3, 4, 5)):
        x = torch.empty(size, device="cuda", dtype=torch.bfloat16)
        if len(size) == 4:
            x = x.to(memory_format=torch.channels_last)
        vector = torch.empty(size[1], device="cuda")
        y, mean, var, rstd = torch.ops.lightning_tune.batch_norm(x, vector, vector, 1e-5, "gelu")
        y_eval, _ = torch.ops.lightning_tune.batch_norm_eval(x, mean, var, vector, None, 1e-5, "relu")
        for each in (y, y_eval):
            assert (each.shape, each.stride()) == (x.shape, x.stride())
            assert (each.dtype, each.device) == (x.dtype, x.device)
        assert all((each.shape, each.dtype) == (vector.shape, vector.dtype) for each in (mean, var, rstd))
        for training in (True, False):
            grads = torch.ops.lightning_tune.batch_norm_backward(
                y, x, mean, rstd, vector, None, "silu", training
            )
            assert [grad.shape for grad in grads] == [x.shape, vector.shape, vector.shape]
            assert grads[0].stride() == x.stride()
"""
TRACE = """
with FakeTensorMode():
    x = torch.empty(8, 64, 56, 56, device="cuda")
    graph = make_fx(lambda x: torch.ops.lightning_tune.batch_norm(x, None, None, 1e-5, "relu")[0])(x)
    print(*sorted({str(node.target) for node in graph.graph.nodes}))
"""


def test_fake_tensors_of_a_gpu(compiled: Callable[..., str]) -> None:
    """Shapes, strides and types without a GPU, and what torch sees of an operator."""
    assert "lightning_tune.batch_norm.default" in compiled("-c", FAKE + TRACE)
