"""Layer norm and RMS norm by kernels under everything that torch does to functions."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from lightning_tune.norm.kernels import row_operators

Derives = Callable[..., None]
EPS = 1e-3
# torch's own, of its forward mode
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")


def plain_layer_norm(
    x: Tensor, weight: Tensor | None = None, bias: Tensor | None = None
) -> tuple[Tensor, ...]:
    centred = x - x.mean(-1, keepdim=True)
    y = centred / (centred.square().mean(-1, keepdim=True) + EPS).sqrt()
    return ((y if weight is None else y * weight) + (0 if bias is None else bias),)


def plain_rms_norm(x: Tensor, weight: Tensor | None = None) -> tuple[Tensor, ...]:
    y = x / (x.square().mean(-1, keepdim=True) + EPS).sqrt()
    return (y if weight is None else y * weight,)


def layer_norm(x: Tensor, weight: Tensor | None = None, bias: Tensor | None = None) -> tuple[Tensor, ...]:
    return (row_operators.layer_norm(x, (x.shape[-1],), weight, bias, EPS),)


def rms_norm(x: Tensor, weight: Tensor | None = None) -> tuple[Tensor, ...]:
    return (row_operators.rms_norm(x, (x.shape[-1],), weight, EPS),)


@pytest.mark.parametrize(
    ("ours", "plain", "count"),
    [
        (layer_norm, plain_layer_norm, 3),
        (layer_norm, plain_layer_norm, 1),
        (rms_norm, plain_rms_norm, 2),
        (rms_norm, plain_rms_norm, 1),
    ],
)
def test_every_derivative(
    ours: Callable[..., tuple[Tensor, ...]],
    plain: Callable[..., tuple[Tensor, ...]],
    count: int,
    assert_derives: Derives,
    device: torch.device,
) -> None:
    torch.manual_seed(0)
    tensors = [torch.randn(size, device=device) for size in ((2, 3, 4), (4,), (4,))][:count]
    assert_derives(ours, plain, tensors)


@pytest.mark.parametrize("size", [(6,), (4, 6), (2, 3, 6), (2, 2, 3, 6), (0, 6)])
@pytest.mark.parametrize("dims", [1, 2])
def test_shapes_of_torch(size: tuple[int, ...], dims: int, device: torch.device) -> None:
    """Rows of one and of two dimensions; no dimension before them; no rows."""
    if dims > len(size):
        size = (3, *size)
    x = torch.randn(size, device=device, requires_grad=True)
    row = size[-dims:]
    weight, bias = (torch.randn(row, device=device, requires_grad=True) for _ in range(2))
    for ours, theirs in (
        (
            row_operators.layer_norm(x, row, weight, bias, 1e-5),
            torch.nn.functional.layer_norm(x, row, weight, bias),
        ),
        (row_operators.rms_norm(x, row, weight, None), torch.nn.functional.rms_norm(x, row, weight)),
    ):
        torch.testing.assert_close(ours, theirs)
        assert ours.is_contiguous()
        leaves = [x, weight, bias]
        grads = torch.autograd.grad(ours.sin().sum(), leaves, materialize_grads=True)
        expected = torch.autograd.grad(theirs.sin().sum(), leaves, materialize_grads=True)
        torch.testing.assert_close(grads, expected)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_sixteen_bits(dtype: torch.dtype, device: torch.device) -> None:
    x = torch.randn(5, 96, device=device).to(dtype).requires_grad_()
    weight = torch.randn(96, device=device).to(dtype).requires_grad_()
    y = row_operators.layer_norm(x, (96,), weight, None, 1e-5)
    assert y.dtype == dtype
    grads = torch.autograd.grad(y.sum(), [x, weight])
    assert [grad.dtype for grad in grads] == [dtype, dtype]
    exact = torch.nn.functional.layer_norm(x.double(), (96,), weight.double())
    expected = torch.autograd.grad(exact.sum(), [x, weight])
    for one, other in zip((y, *grads), (exact, *expected), strict=True):
        torch.testing.assert_close(one.double(), other.double(), rtol=2 * torch.finfo(dtype).eps, atol=2e-3)


def test_what_needs_no_gradient_gets_none(device: torch.device) -> None:
    x, weight = torch.randn(3, 4, device=device), torch.randn(4, device=device, requires_grad=True)
    row_operators.layer_norm(x, (4,), weight, None, 1e-5).sum().backward()
    assert x.grad is None
    assert weight.grad is not None
    assert not row_operators.rms_norm(x, (4,), None, None).requires_grad


@pytest.mark.parametrize("name", ["layer_norm", "rms_norm"])
def test_parameters_of_another_type(name: str, device: torch.device) -> None:
    """As under autocast: 16 bits come in, parameters are float32."""
    x = torch.randn(3, 8, device=device, dtype=torch.bfloat16, requires_grad=True)
    weight = torch.randn(8, device=device, requires_grad=True)
    if name == "layer_norm":
        y = row_operators.layer_norm(x, (8,), weight, weight, 1e-5)
    else:
        y = row_operators.rms_norm(x, (8,), weight, None)
    grads = torch.autograd.grad(y.sum(), [x, weight])
    assert [one.dtype for one in (y, *grads)] == [torch.bfloat16, torch.bfloat16, torch.float32]


def test_output_in_float32_under_autocast(device: torch.device, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row_operators, "output_dtype", lambda *inputs: torch.float32)
    x = torch.randn(3, 8, device=device, dtype=torch.bfloat16, requires_grad=True)
    weight = torch.randn(8, device=device, requires_grad=True)
    y = row_operators.layer_norm(x, (8,), weight, None, 1e-5)
    expected = torch.nn.functional.layer_norm(x.float(), (8,), weight)
    torch.testing.assert_close(y, expected)
    grads = [torch.autograd.grad(one.sin().sum(), [x, weight]) for one in (y, expected)]
    torch.testing.assert_close(*grads, rtol=2e-2, atol=2e-2)
    tangent = torch.ones_like(x)
    pushed = torch.func.jvp(
        lambda x: row_operators.layer_norm(x, (8,), weight, None, 1e-5), (x.detach(),), (tangent,)
    )
    assert pushed[1].dtype == torch.float32


def test_dynamic_shapes_compile_once(device: torch.device) -> None:
    compiles = 0

    def backend(graph: torch.fx.GraphModule, _: object) -> Callable[..., object]:
        nonlocal compiles
        compiles += 1
        return graph.forward

    function = torch.compile(lambda x: layer_norm(x)[0] * 2, fullgraph=True, backend=backend, dynamic=True)
    for rows in (3, 7, 20):
        x = torch.randn(rows, 8, device=device)
        torch.testing.assert_close(function(x), layer_norm(x)[0] * 2)
    assert compiles == 1
