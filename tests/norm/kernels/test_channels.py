"""Batch norm's kernels in Triton's interpreter, against torch's batch norm in float64."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from lightning_tune.norm.kernels import geometry
from lightning_tune.norm.kernels.channels import (
    ACTIVATIONS,
    batch_norm_backward,
    batch_norm_eval,
    batch_norm_forward,
)

EPS = 1e-5
SHAPES = {
    "images": (2, 3, 56, 56),
    "small images": (6, 130, 7, 7),
    "primes": (3, 7, 11, 13),
    "one sample": (1, 5, 17, 19),
    "one channel": (3, 1, 29, 101),
    "vectors": (257, 131),
    "many vectors": (1500, 19),
    "one position": (5, 3, 1, 1),
    "signals": (3, 6, 31),
    "volumes": (2, 5, 3, 4, 5),
    "two elements": (2, 3),
}
ORDERS: dict[str, Callable[[Tensor], Tensor]] = {
    "contiguous": lambda x: x,
    "channels last": lambda x: torch.empty_like(x.movedim(1, -1)).movedim(-1, 1).copy_(x),
    "every second": lambda x: x.repeat_interleave(2, dim=-1)[..., ::2],
    "some channels": lambda x: torch.cat([x, x, x], dim=1)[:, x.shape[1] : 2 * x.shape[1]],
    "channels first": lambda x: torch.empty_like(x.transpose(0, 1)).transpose(0, 1).copy_(x),
    "flipped dims": lambda x: x.transpose(-1, -2).contiguous().transpose(-1, -2),
}
ACTIVATE: dict[str, Callable[[Tensor], Tensor]] = {
    "none": lambda z: z,
    "relu": functional.relu,
    "silu": functional.silu,
    "gelu": functional.gelu,
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
    weight: Tensor | None
    bias: Tensor | None
    grad_y: Tensor
    running_mean: Tensor
    running_var: Tensor


def case(
    shape: tuple[int, ...],
    order: str = "contiguous",
    dtype: torch.dtype = torch.float32,
    *,
    mean: float = 0.0,
    parameters: tuple[bool, bool] = (True, True),
    parameter_dtype: torch.dtype = torch.float32,
) -> Case:
    generator = torch.Generator().manual_seed(7)

    def normal(*size: int) -> Tensor:
        return torch.randn(size, generator=generator, device="cpu").to(torch.get_default_device())

    channels = shape[1]
    x = ORDERS[order]((mean + normal(*shape)).to(dtype))
    weight, bias = (normal(channels).to(parameter_dtype) if there else None for there in parameters)
    grad_y = ORDERS[order](normal(*shape).to(dtype))
    return Case(x, weight, bias, grad_y, mean + normal(channels), 0.5 + normal(channels).square())


def expected(given: Case, activation: str, *, training: bool) -> tuple[Tensor, list[Tensor | None]]:
    """Output and gradients of input, weight and bias by torch in float64."""
    inputs = [None if t is None else t.double().requires_grad_() for t in (given.x, given.weight, given.bias)]
    running = (None, None) if training else (given.running_mean.double(), given.running_var.double())
    y = ACTIVATE[activation](functional.batch_norm(inputs[0], *running, *inputs[1:], training, eps=EPS))
    grads = iter(torch.autograd.grad(y, [t for t in inputs if t is not None], given.grad_y.double()))
    return y.detach(), [None if t is None else next(grads) for t in inputs]


def computed(given: Case, activation: str, *, training: bool) -> tuple[Tensor, list[Tensor], list[Tensor]]:
    """Output, gradients and statistics by the kernels."""
    parameters = (given.weight, given.bias)
    if training:
        y, mean, var, rstd = batch_norm_forward(given.x, *parameters, EPS, activation)
    else:
        mean, var, rstd = given.running_mean, given.running_var, torch.rsqrt(given.running_var + EPS)
        y = batch_norm_eval(given.x, mean, rstd, *parameters, activation)
    grads = batch_norm_backward(given.grad_y, given.x, mean, rstd, *parameters, activation, training)
    return y, list(grads), [mean, var, rstd]


def check(given: Case, activation: str = "none", *, training: bool = True) -> None:
    y, grads, (mean, var, rstd) = computed(given, activation, training=training)
    expected_y, expected_grads = expected(given, activation, training=training)
    others = (0, *range(2, given.x.ndim))
    single = torch.finfo(torch.float32).eps
    # a mean is known to a rounding of itself, which is this many roundings of a normalised value
    condition = 4 + float((mean.abs() * rstd).max())
    if training:
        exact = given.x.double()
        assert_close(mean, exact.mean(others), 4 * single * (exact.abs().max() + 1))
        assert_close(
            var, exact.var(others, correction=0), 16 * single * exact.var(others, correction=0).max()
        )
    scale = 1 if given.weight is None else given.weight.abs().max()
    storage = torch.finfo(given.x.dtype).eps
    assert y.dtype == grads[0].dtype == given.x.dtype
    assert y.shape == grads[0].shape == given.x.shape
    assert_close(y, expected_y, storage * expected_y.abs().max() + 4 * single * condition * scale)
    largest = expected_grads[0].abs().max()
    slack = 16 * single * condition * float(rstd.max()) * scale
    assert_close(grads[0], expected_grads[0], storage * largest + slack)
    for grad, wanted, parameter in zip(grads[1:], expected_grads[1:], given[1:3], strict=True):
        if wanted is not None:
            assert grad.dtype == parameter.dtype
            summands = given.grad_y.double().abs().sum(others).max()
            rounding = torch.finfo(grad.dtype).eps * wanted.abs().max()
            assert_close(grad, wanted, rounding + 4 * single * condition * summands)


def assert_close(found: Tensor, wanted: Tensor, tolerance: Tensor | float) -> None:
    assert not found.isnan().any()
    error = (found.double() - wanted).abs().max()
    assert error <= tolerance, f"off by {error:.3g}, tolerance {float(tolerance):.3g}"


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("order", ["contiguous", "channels last"])
def test_output_and_gradients_of_every_shape(shape: tuple[int, ...], order: str) -> None:
    check(case(shape, order))


@pytest.mark.parametrize("shape", [(2, 3, 56, 56), (257, 131), (3, 7, 11, 13)])
@pytest.mark.parametrize("order", ["contiguous", "channels last"])
def test_output_and_gradients_in_evaluation(shape: tuple[int, ...], order: str) -> None:
    check(case(shape, order), training=False)


@pytest.mark.parametrize("order", ["every second", "some channels", "channels first", "flipped dims"])
@pytest.mark.parametrize("shape", [(3, 7, 11, 13), (40, 6), (2, 3, 4, 5, 6)])
def test_views_of_any_strides(shape: tuple[int, ...], order: str) -> None:
    check(case(shape, order))


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("shape", [(3, 7, 11, 13), (64, 33)])
def test_activations(shape: tuple[int, ...], activation: str, training: bool) -> None:
    check(case(shape), activation, training=training)


@pytest.mark.parametrize("parameters", [(True, False), (False, True), (False, False)])
@pytest.mark.parametrize("shape", [(3, 7, 11, 13), (64, 33)])
def test_absent_parameters(shape: tuple[int, ...], parameters: tuple[bool, bool]) -> None:
    check(case(shape, parameters=parameters), "gelu")
    check(case(shape, parameters=parameters), "gelu", training=False)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("parameter_dtype", [None, torch.float32])
@pytest.mark.parametrize("order", ["contiguous", "channels last"])
@pytest.mark.parametrize("shape", [(3, 20, 11, 13), (130, 67)])
def test_half_types(
    shape: tuple[int, ...], order: str, dtype: torch.dtype, parameter_dtype: torch.dtype | None
) -> None:
    check(case(shape, order, dtype, parameter_dtype=parameter_dtype or dtype), "silu")


@pytest.mark.parametrize("order", ["contiguous", "channels last"])
@pytest.mark.parametrize("shape", [(3, 7, 31, 31), (64, 33), (4, 1, 50, 51)])
def test_large_means(shape: tuple[int, ...], order: str) -> None:
    check(case(shape, order, mean=1e4))


def test_squares_of_half_numbers_do_not_overflow() -> None:
    given = case((8, 5, 6, 7), dtype=torch.float16)
    check(given._replace(x=given.x * 1000))


@pytest.mark.parametrize("order", ["contiguous", "channels last"])
def test_few_programs_and_many_of_them_agree(order: str, monkeypatch: pytest.MonkeyPatch) -> None:
    given = case((3, 37, 20, 21), order)
    for programs in (1, 7):
        monkeypatch.setattr(geometry, "PROGRAMS", programs)
        check(given, "gelu")


def test_moments_of_parts_that_differ_much_are_merged() -> None:
    """Each sample, and so each part, at another mean: the worst case for a shift by a first value."""
    given = case((8, 3, 30, 31))
    check(given._replace(x=given.x + 100 * torch.arange(8.0)[:, None, None, None]))


@pytest.mark.parametrize("order", ["contiguous", "channels last"])
@pytest.mark.parametrize("shape", [(3, 3, 20, 21), (64, 33)])
def test_the_same_bits_twice(shape: tuple[int, ...], order: str) -> None:
    given = case(shape, order)
    for training in (True, False):
        first, second = (computed(given, "silu", training=training) for _ in range(2))
        for one, other in zip((first[0], *first[1]), (second[0], *second[1]), strict=True):
            assert torch.equal(one, other)


@pytest.mark.parametrize("order", ["contiguous", "channels last"])
@pytest.mark.parametrize("shape", [(3, 7, 11, 13), (64, 33), (3, 6, 31), (2, 5, 3, 4, 5)])
def test_outputs_lie_as_torchs(shape: tuple[int, ...], order: str) -> None:
    given = case(shape, order)
    y, grads, _ = computed(given, "none", training=True)
    assert y.stride() == grads[0].stride() == torch.empty_like(given.x).stride()


@pytest.mark.parametrize("shape", [(0, 4, 3, 3), (0, 4), (2, 0, 3, 3), (2, 4, 0)])
@pytest.mark.parametrize("order", ["contiguous", "channels last"])
def test_empty_batches(shape: tuple[int, ...], order: str) -> None:
    given = case(shape, order)
    for training in (True, False):
        y, grads, statistics = computed(given, "relu", training=training)
        assert y.shape == grads[0].shape == shape
        for values in (*grads[1:], *statistics):
            assert values.shape == shape[1:2]
        assert all(not grad.any() for grad in grads[1:])
        if training:
            assert all(not values.any() for values in statistics[:2])


@pytest.mark.parametrize("order", ["contiguous", "channels last"])
def test_gradients_that_lie_otherwise(order: str) -> None:
    given = case((3, 7, 11, 13), order)
    other = {"contiguous": "channels last", "channels last": "contiguous"}[order]
    check(given._replace(grad_y=ORDERS[other](given.grad_y)))
    check(given._replace(grad_y=torch.tensor(0.5).expand(given.x.shape)), "silu")
    check(given._replace(grad_y=given.grad_y[:, :, :1, :1].expand(given.x.shape)))


def test_parameters_and_statistics_of_any_strides() -> None:
    given = case((3, 7, 11, 13))
    spread = [vector.repeat_interleave(2)[::2] for vector in (given.weight, given.bias, *given[4:])]
    check(given._replace(weight=spread[0], bias=spread[1]), "silu")
    everything = Case(given.x, *spread[:2], given.grad_y, *spread[2:])
    check(everything, "silu", training=False)


def test_nan_and_infinity_reach_their_channel_alone() -> None:
    given = case((3, 7, 11, 13))
    given.x[1, 2, 3, 4] = torch.nan
    y, grads, _ = computed(given, "relu", training=True)
    for values in (y, grads[0]):
        assert values[:, 2].isnan().all()
        assert not values[:, [0, 1, 3, 4, 5, 6]].isnan().any()
