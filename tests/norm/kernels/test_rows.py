"""Launchers against torch in float64, over awkward shapes, types and strides."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from lightning_tune.norm.kernels import row_launch, rows
from lightning_tune.norm.kernels.launch import interpreted

Near = Callable[..., None]
EPS = 1e-5
SHAPES = [(1, 1), (1, 7), (5, 1), (3, 1023), (2, 4099), (37, 64), (1, 8192), (2, 17000)]
DTYPES = [torch.float32, torch.bfloat16, torch.float16]
pytestmark = pytest.mark.usefixtures("poisoned")


def exact(
    kind: str,
    x: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    grad: Tensor,
    grad_x: Tensor | None = None,
) -> tuple[Tensor, ...]:
    """Return (y, mean, rstd, gradients of x, weight and bias) in float64 by torch's autograd."""
    leaves = [None if t is None else t.detach().double().requires_grad_() for t in (x, weight, bias)]
    wide, scale, shift = leaves
    assert wide is not None
    mean = wide.mean(1) if kind == "layer" else torch.zeros_like(wide[:, 0])
    rstd = ((wide - mean[:, None]).square().mean(1) + EPS).rsqrt()
    y = (wide - mean[:, None]) * rstd[:, None]
    y = y if scale is None else y * scale
    y = y if shift is None else y + shift
    loss = (y * grad.double()).sum() + (0 if grad_x is None else (wide * grad_x.double()).sum())
    found = iter(torch.autograd.grad(loss, [leaf for leaf in leaves if leaf is not None]))
    grads = [None if leaf is None else next(found) for leaf in leaves]
    return y.detach(), mean.detach(), rstd.detach(), *grads  # type: ignore[return-value]


@pytest.fixture
def coarse(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give programs more columns: the interpreter takes a time for each program, whatever it does."""
    monkeypatch.setitem(row_launch.ADD_PARTS, "COLUMNS", 1024)
    monkeypatch.setitem(row_launch.ADD_WIDE_PARTS, "COLUMNS", 4096)


def random(shape: tuple[int, ...], dtype: torch.dtype, device: torch.device, *, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator).to(device, dtype)


def check(
    near: Near,
    kind: str,
    x: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    grad: Tensor,
    condition: float = 1,
) -> None:
    """Compare forward and backward with the exact ones."""
    y, mean, rstd, grad_x, grad_weight, grad_bias = exact(kind, x, weight, bias, grad)
    if kind == "layer":
        found = rows.layer_norm_forward(x, weight, bias, EPS)
        statistics = found[1:]
        near(found[1], mean, scale=mean.abs().max().item())
        grads = rows.layer_norm_backward(grad, x, *statistics, weight, bias is not None)
    else:
        found = rows.rms_norm_forward(x, weight, EPS)
        statistics = found[1:]
        grads = (*rows.rms_norm_backward(grad, x, *statistics, weight), None)
    largest = 4 + (1 if weight is None else weight.abs().max().item())
    near(found[0], y, scale=largest**2, condition=condition)
    near(statistics[-1], rstd, scale=rstd.max().item(), condition=condition)
    near(grads[0], grad_x, scale=rstd.max().item() * largest**2, condition=condition)
    near(grads[1], grad_weight, scale=x.shape[0] * largest, condition=condition)
    near(grads[2], grad_bias, scale=x.shape[0] * largest)


@pytest.mark.parametrize("kind", ["layer", "rms"])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_forward_and_backward(
    kind: str, shape: tuple[int, int], dtype: torch.dtype, device: torch.device, assert_near: Near
) -> None:
    x, grad = random(shape, dtype, device), random(shape, dtype, device, seed=1)
    weight, bias = (random(shape[1:], dtype, device, seed=seed) for seed in (2, 3))
    check(assert_near, kind, x * 2 + 1, weight, bias if kind == "layer" else None, grad)


@pytest.mark.parametrize("kind", ["layer", "rms"])
def test_a_very_wide_row(kind: str, device: torch.device, assert_near: Near) -> None:
    x, grad = (random((2, 65537), torch.float32, device, seed=seed) for seed in (0, 1))
    weight, bias = (random((65537,), torch.float32, device, seed=seed) for seed in (2, 3))
    check(assert_near, kind, x + 1, weight, bias if kind == "layer" else None, grad)


@pytest.mark.usefixtures("coarse")
@pytest.mark.parametrize(("weight", "bias"), [(False, False), (True, False), (False, True)])
@pytest.mark.parametrize("columns", [33, 17000])
def test_without_weight_or_bias(
    columns: int, weight: bool, bias: bool, device: torch.device, assert_near: Near
) -> None:
    x, grad = (random((3, columns), torch.float32, device, seed=seed) for seed in (0, 1))
    parameters = [random((columns,), torch.float32, device, seed=seed) for seed in (2, 3)]
    given = [one if there else None for one, there in zip(parameters, (weight, bias), strict=True)]
    check(assert_near, "layer", x, given[0], given[1], grad)
    if not bias:
        check(assert_near, "rms", x, given[0], None, grad)


@pytest.mark.usefixtures("coarse")
@pytest.mark.parametrize("columns", [1000, 17000])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_a_mean_of_ten_thousand(
    columns: int, dtype: torch.dtype, device: torch.device, assert_near: Near
) -> None:
    """The square of the mean is 1e8: in float32 its difference to the mean square has no correct digit."""
    deviation = 1.0 if dtype == torch.float32 else 100.0
    x = (random((4, columns), torch.float32, device) * deviation + 1e4).to(dtype)
    grad = random((4, columns), dtype, device, seed=1)
    weight, bias = (random((columns,), dtype, device, seed=seed) for seed in (2, 3))
    check(assert_near, "layer", x, weight, bias, grad, condition=1 + 1e4 / deviation)


def transposed(tensor: Tensor) -> Tensor:
    return tensor.t().contiguous().t()


def sliced(tensor: Tensor) -> Tensor:
    twice = tensor.new_zeros(tensor.shape[0] * 3, tensor.shape[1] * 2)
    twice[::3, 1::2] = tensor
    return twice[::3, 1::2]


def expanded(tensor: Tensor) -> Tensor:
    return tensor[:1].expand_as(tensor)


@pytest.mark.usefixtures("coarse")
@pytest.mark.parametrize("view", [transposed, sliced, expanded])
@pytest.mark.parametrize("shape", [(6, 65), (2, 17000)])
@pytest.mark.parametrize("kind", ["layer", "rms"])
def test_strides_are_respected(
    kind: str,
    shape: tuple[int, int],
    view: Callable[[Tensor], Tensor],
    device: torch.device,
    assert_near: Near,
) -> None:
    x, grad = (view(random(shape, torch.float32, device, seed=seed)) for seed in (0, 1))
    weight = random((shape[1] * 2,), torch.float32, device, seed=2)[::2]
    check(assert_near, kind, x, weight, weight if kind == "layer" else None, grad)


def test_rows_that_span_more_than_32_bits(device: torch.device, assert_near: Near) -> None:
    """A stride of half a gigabyte between columns: a view of one row, which is all that is read."""
    base = random((9,), torch.float32, device)
    x = torch.as_strided(base, (1, 5), (2**40, 1)), torch.as_strided(base, (3, 3), (0, 1))
    for one in x:
        check(assert_near, "layer", one, None, None, random(tuple(one.shape), torch.float32, device, seed=1))


@pytest.mark.parametrize("shape", [(0, 8), (0, 17000), (3, 0), (0, 0)])
def test_empty(shape: tuple[int, int], device: torch.device) -> None:
    x, weight = (random(size, torch.float32, device) for size in (shape, shape[1:]))
    y, mean, rstd = rows.layer_norm_forward(x, weight, weight, EPS)
    assert y.shape == shape
    assert mean.shape == rstd.shape == shape[:1]
    assert not torch.cat([mean, rstd]).isnan().any()
    grads = rows.layer_norm_backward(x, x, mean, rstd, weight, True)
    assert [tuple(grad.shape) for grad in grads if grad is not None] == [shape, shape[1:], shape[1:]]
    assert all(grad is not None and not grad.any() for grad in grads)


@pytest.mark.usefixtures("coarse")
@pytest.mark.parametrize("kind", ["layer", "rms"])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("shape", [(5, 96), (2, 8192), (2, 17000)])
def test_add_and_norm(
    kind: str, shape: tuple[int, int], dtype: torch.dtype, device: torch.device, assert_near: Near
) -> None:
    x, residual, grad, grad_sum = (random(shape, dtype, device, seed=seed) for seed in range(4))
    weight, bias = (random(shape[1:], dtype, device, seed=seed) for seed in (4, 5))
    weight = weight / 4 + 1
    if kind == "layer":
        y, total, mean, rstd = rows.add_layer_norm_forward(x, residual, weight, bias, EPS)
        grads = rows.add_layer_norm_backward(grad, grad_sum, total, mean, rstd, weight, True)
        again = rows.add_layer_norm_backward_from_output(grad, grad_sum, y, rstd, weight, bias)
    else:
        y, total, rstd = rows.add_rms_norm_forward(x, residual, weight, EPS)
        grads = (*rows.add_rms_norm_backward(grad, grad_sum, total, rstd, weight), None)
        again = (*rows.add_rms_norm_backward_from_output(grad, grad_sum, y, rstd, weight), None)
    # the interpreter cuts bfloat16 off where a GPU rounds to even
    atol = torch.finfo(dtype).eps * 8 if dtype == torch.bfloat16 and interpreted() else 0
    torch.testing.assert_close(total, x + residual, rtol=0, atol=atol)
    exact_y, _, exact_rstd, *exact_grads = exact(
        kind, total, weight, bias if kind == "layer" else None, grad, grad_sum
    )
    assert_near(y, exact_y, scale=40)
    assert_near(rstd, exact_rstd, scale=exact_rstd.max().item())
    for found, expected in zip(grads, exact_grads, strict=True):
        assert_near(found, expected, scale=60)
    # the output's rounding is in the row that is found from it, more so the smaller a weight is
    for found, expected in zip(again, exact_grads, strict=True):
        if expected is not None:
            assert found is not None
            error = (found.double() - expected).norm() / expected.norm()
            assert error < 8 * torch.finfo(dtype).eps


@pytest.mark.usefixtures("coarse")
@pytest.mark.parametrize("shape", [(6, 48), (2, 17000)])
def test_from_the_output_a_weight_of_zero_counts_as_the_mean(
    shape: tuple[int, int], device: torch.device, assert_near: Near
) -> None:
    """The output holds nothing of such a column: the gradient is that of a row that is at its mean there."""
    x, grad = (random(shape, torch.float32, device, seed=seed) for seed in (0, 1))
    weight, bias = (random(shape[1:], torch.float32, device, seed=seed) for seed in (2, 3))
    weight = weight / 4 + 1
    weight[::5] = 0
    y, mean, rstd = rows.layer_norm_forward(x, weight, bias, EPS)
    grads = rows.add_layer_norm_backward_from_output(grad, None, y, rstd, weight, bias)
    normal = ((x - mean[:, None]) * rstd[:, None]).double()
    normal[:, ::5] = 0
    scaled = grad.double() * weight
    expected = rstd[:, None] * (
        scaled - scaled.mean(1, keepdim=True) - normal * (scaled * normal).mean(1, keepdim=True)
    )
    assert_near(grads[0], expected, scale=300)
    assert_near(grads[1], (grad * normal).sum(0), scale=300)
    assert not grads[1][::5].any()  # type: ignore[index]
    assert_near(grads[2], grad.double().sum(0), scale=30)


@pytest.mark.usefixtures("coarse")
@pytest.mark.parametrize("columns", [40, 17000])
def test_the_output_may_have_another_type(columns: int, device: torch.device, assert_near: Near) -> None:
    """Under autocast the input is bfloat16, the parameters and the output are float32."""
    x = random((3, columns), torch.bfloat16, device)
    weight, bias = (random((columns,), torch.float32, device, seed=seed) for seed in (2, 3))
    grad = random((3, columns), torch.float32, device, seed=1)
    y, _, rstd = rows.layer_norm_forward(x, weight, bias, EPS, torch.float32)
    expected = exact("layer", x, weight, bias, grad)
    assert y.dtype == torch.float32
    assert_near(y, expected[0], scale=40)
    grads = rows.add_layer_norm_backward_from_output(grad, None, y, rstd, weight, bias, torch.bfloat16)
    assert [one.dtype for one in grads if one is not None] == [torch.bfloat16, torch.float32, torch.float32]
    total = rows.add_rms_norm_forward(x, grad, weight, EPS)[1]
    assert total.dtype == torch.float32


@pytest.mark.usefixtures("coarse")
@pytest.mark.parametrize("shape", [(40, 24), (3, 17000)])
def test_the_same_bits_every_time(shape: tuple[int, int], device: torch.device) -> None:
    x, grad = (random(shape, torch.float32, device, seed=seed) for seed in (0, 1))
    weight = random(shape[1:], torch.float32, device, seed=2)

    def run() -> list[Tensor]:
        y, mean, rstd = rows.layer_norm_forward(x, weight, weight, EPS)
        grads = rows.layer_norm_backward(grad, x, mean, rstd, weight, True)
        return [y, mean, rstd, *(one for one in grads if one is not None)]

    assert all(torch.equal(one, other) for one, other in zip(run(), run(), strict=True))
