"""Group norm's kernels in Triton's interpreter, against torch's group norm in float64."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from lightning_tune.norm.kernels import geometry
from lightning_tune.norm.kernels.groups import group_norm_backward, group_norm_forward

EPS = 1e-5
SHAPES = {
    "images": ((2, 6, 28, 28), 3),
    "small images": ((3, 130, 7, 7), 13),
    "primes": ((3, 21, 11, 13), 7),
    "one channel": ((3, 1, 9, 10), 1),
    "one channel a group": ((2, 5, 17, 19), 5),
    "vectors": ((57, 130), 10),
    "vectors, one group": ((5, 131), 1),
    "one position": ((5, 6, 1, 1), 2),
    "signals": ((3, 6, 31), 2),
    "volumes": ((2, 10, 3, 4, 5), 5),
    "large groups": ((2, 6, 67, 67), 2),
    "large group": ((2, 130, 9, 9), 1),
    "wide vectors": ((1, 8200), 1),
}
ORDERS: dict[str, Callable[[Tensor], Tensor]] = {
    "contiguous": lambda x: x,
    "channels last": lambda x: torch.empty_like(x.movedim(1, -1)).movedim(-1, 1).copy_(x),
    "every second": lambda x: x.repeat_interleave(2, dim=-1)[..., ::2],
    "some channels": lambda x: torch.cat([x, x, x], dim=1)[:, x.shape[1] : 2 * x.shape[1]],
    "channels first": lambda x: torch.empty_like(x.transpose(0, 1)).transpose(0, 1).copy_(x),
    "flipped dims": lambda x: x.transpose(-1, -2).contiguous().transpose(-1, -2),
}


@pytest.fixture(autouse=True)
def _poisoned_memory(device: torch.device) -> Iterator[None]:
    """Fill all memory that a function makes room in with NaN: what a kernel does not write shows."""
    torch.use_deterministic_algorithms(True)
    torch.set_default_device(None if device.type == "cpu" else device)
    assert torch.utils.deterministic.fill_uninitialized_memory
    assert torch.empty(4).isnan().all()
    yield
    torch.set_default_device(None)
    torch.use_deterministic_algorithms(False)


class Case(NamedTuple):
    x: Tensor
    groups: int
    weight: Tensor | None
    bias: Tensor | None
    grad_y: Tensor


def case(
    shape: tuple[int, ...],
    groups: int,
    order: str = "contiguous",
    dtype: torch.dtype = torch.float32,
    *,
    mean: float = 0.0,
    parameters: tuple[bool, bool] = (True, True),
    parameter_dtype: torch.dtype = torch.float32,
) -> Case:
    generator = torch.Generator().manual_seed(11)

    def normal(*size: int) -> Tensor:
        return torch.randn(size, generator=generator, device="cpu").to(torch.get_default_device())

    x = ORDERS[order]((mean + normal(*shape)).to(dtype))
    weight, bias = (normal(shape[1]).to(parameter_dtype) if there else None for there in parameters)
    return Case(x, groups, weight, bias, ORDERS[order](normal(*shape).to(dtype)))


def computed(given: Case) -> tuple[Tensor, Tensor, Tensor, list[Tensor]]:
    """Output, statistics and gradients by the kernels."""
    y, mean, rstd = group_norm_forward(given.x, given.groups, given.weight, given.bias, EPS)
    grads = group_norm_backward(given.grad_y, given.x, mean, rstd, given.weight, given.groups)
    return y, mean, rstd, list(grads)


def check(given: Case) -> None:
    y, mean, rstd, grads = computed(given)
    parameters = [None if t is None else t.double().requires_grad_() for t in (given.weight, given.bias)]
    x = given.x.double().requires_grad_()
    # torch 2.13 fails to differentiate a group norm that has a bias and no weight
    weight = torch.ones(x.shape[1], dtype=torch.float64) if parameters[0] is None else parameters[0]
    expected_y = functional.group_norm(x, given.groups, weight, parameters[1], eps=EPS)
    inputs = [x, *(t for t in parameters if t is not None)]
    expected_grads = iter(torch.autograd.grad(expected_y, inputs, given.grad_y.double()))
    single, storage = torch.finfo(torch.float32).eps, torch.finfo(given.x.dtype).eps
    # a mean is known to a rounding of itself, which is this many roundings of a normalised value
    condition = 4 + float((mean.abs() * rstd).max())
    rows = x.detach().reshape(x.shape[0], given.groups, -1)
    assert_close(mean, rows.mean(-1), 4 * single * (rows.abs().max() + 1))
    inverse = (rows.var(-1, correction=0) + EPS).rsqrt()
    assert_close(rstd, inverse, 16 * single * inverse.max())
    scale = 1 if given.weight is None else given.weight.abs().max()
    assert y.dtype == grads[0].dtype == given.x.dtype
    assert_close(y, expected_y.detach(), storage * expected_y.abs().max() + 4 * single * condition * scale)
    wanted = next(expected_grads)
    slack = 16 * single * condition * float(rstd.max()) * scale
    assert_close(grads[0], wanted, storage * wanted.abs().max() + slack)
    summands = given.grad_y.double().abs().sum((0, *range(2, x.ndim))).max()
    for grad, parameter in zip(grads[1:], (given.weight, given.bias), strict=True):
        if parameter is not None:
            wanted = next(expected_grads)
            rounding = torch.finfo(grad.dtype).eps * wanted.abs().max()
            assert_close(grad, wanted, rounding + 4 * single * condition * summands)


def assert_close(found: Tensor, wanted: Tensor, tolerance: Tensor | float) -> None:
    assert not found.isnan().any()
    error = (found.double() - wanted).abs().max()
    assert error <= tolerance, f"off by {error:.3g}, tolerance {float(tolerance):.3g}"


@pytest.mark.parametrize(("shape", "groups"), SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("order", ["contiguous", "channels last"])
def test_output_and_gradients_of_every_shape(shape: tuple[int, ...], groups: int, order: str) -> None:
    check(case(shape, groups, order))


@pytest.mark.parametrize("order", ["every second", "some channels", "channels first", "flipped dims"])
@pytest.mark.parametrize(("shape", "groups"), [((3, 8, 11, 13), 2), ((40, 6), 3), ((2, 6, 31, 53), 1)])
def test_views_of_any_strides(shape: tuple[int, ...], groups: int, order: str) -> None:
    check(case(shape, groups, order))


@pytest.mark.parametrize("parameters", [(True, False), (False, True), (False, False)])
@pytest.mark.parametrize(("shape", "groups"), [((3, 8, 11, 13), 2), ((2, 6, 31, 53), 1)])
def test_absent_parameters(shape: tuple[int, ...], groups: int, parameters: tuple[bool, bool]) -> None:
    check(case(shape, groups, parameters=parameters))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("parameter_dtype", [None, torch.float32])
@pytest.mark.parametrize("order", ["contiguous", "channels last"])
@pytest.mark.parametrize(("shape", "groups"), [((3, 8, 11, 13), 2), ((2, 6, 31, 53), 1)])
def test_half_types(
    shape: tuple[int, ...],
    groups: int,
    order: str,
    dtype: torch.dtype,
    parameter_dtype: torch.dtype | None,
) -> None:
    check(case(shape, groups, order, dtype, parameter_dtype=parameter_dtype or dtype))


@pytest.mark.parametrize("order", ["contiguous", "channels last"])
@pytest.mark.parametrize(("shape", "groups"), [((3, 8, 11, 13), 2), ((2, 6, 31, 53), 1)])
def test_large_means(shape: tuple[int, ...], groups: int, order: str) -> None:
    check(case(shape, groups, order, mean=1e4))


def test_output_of_another_type_is_not_rounded_to_the_inputs() -> None:
    """As under autocast: half in, float32 out."""
    for shape, groups in (((3, 8, 11, 13), 2), ((2, 6, 31, 53), 1)):
        given = case(shape, groups, dtype=torch.bfloat16)
        y, _, _ = group_norm_forward(given.x, groups, given.weight, given.bias, EPS, torch.float32)
        wanted = functional.group_norm(given.x.double(), groups, given.weight.double(), given.bias.double())
        assert y.dtype == torch.float32
        assert_close(y, wanted, 1e-5)


@pytest.mark.parametrize("order", ["contiguous", "channels last"])
def test_few_programs_and_many_of_them_agree(order: str, monkeypatch: pytest.MonkeyPatch) -> None:
    given = case((2, 70, 14, 15), 2, order)
    for programs in (1, 7):
        monkeypatch.setattr(geometry, "PROGRAMS", programs)
        check(given)


def test_groups_that_fit_in_a_tile_and_shared_ones_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    given = case((2, 6, 28, 28), 3)
    whole = computed(given)
    monkeypatch.setattr(geometry, "_WHOLE_TILE", 0)
    shared = computed(given)
    for one, other in zip((*whole[:3], *whole[3]), (*shared[:3], *shared[3]), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("shape", "groups"), [((3, 8, 11, 13), 2), ((2, 6, 31, 53), 1)])
def test_the_same_bits_twice(shape: tuple[int, ...], groups: int) -> None:
    given = case(shape, groups)
    first, second = computed(given), computed(given)
    for one, other in zip((*first[:3], *first[3]), (*second[:3], *second[3]), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("order", ["contiguous", "channels last"])
def test_outputs_lie_as_the_input(order: str) -> None:
    given = case((2, 6, 12, 13), 3, order)
    y, _, _, grads = computed(given)
    assert y.stride() == grads[0].stride() == given.x.stride()


@pytest.mark.parametrize(
    ("shape", "groups"), [((0, 4, 3, 3), 2), ((0, 4), 4), ((2, 4, 0), 2), ((2, 40, 0), 1)]
)
@pytest.mark.parametrize("order", ["contiguous", "channels last"])
def test_empty_batches(shape: tuple[int, ...], groups: int, order: str) -> None:
    given = case(shape, groups, order)
    y, mean, rstd, grads = computed(given)
    assert y.shape == grads[0].shape == shape
    assert mean.shape == rstd.shape == (shape[0], groups)
    assert not mean.any()
    assert torch.allclose(rstd, torch.tensor(EPS**-0.5))
    for grad in grads[1:]:
        assert grad.shape == shape[1:2]
        assert not grad.any()


@pytest.mark.parametrize("order", ["contiguous", "channels last"])
@pytest.mark.parametrize(("shape", "groups"), [((3, 8, 11, 13), 2), ((2, 6, 31, 53), 1)])
def test_gradients_that_lie_otherwise(shape: tuple[int, ...], groups: int, order: str) -> None:
    given = case(shape, groups, order)
    other = {"contiguous": "channels last", "channels last": "contiguous"}[order]
    check(given._replace(grad_y=ORDERS[other](given.grad_y)))
    check(given._replace(grad_y=torch.tensor(0.5).expand(given.x.shape)))


def test_a_nan_reaches_its_group_alone() -> None:
    given = case((3, 8, 11, 13), 2)
    given.x[1, 2, 3, 4] = torch.nan
    y, _, _, grads = computed(given)
    for values in (y, grads[0]):
        assert values[1, :4].isnan().all()
        assert values.isnan().sum() == values[1, :4].numel()
