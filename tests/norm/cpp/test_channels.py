"""Batch norm with an activation: finite differences, accuracy, layouts, threads; what it does not touch."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from scipy import special
from torch import Tensor
from torch.nn import functional

from lightning_tune.norm.cpp.channels import batch_norm_act, layout_of
from lightning_tune.norm.functional import batch_norm as functional_batch_norm

ACTIVATIONS = ["none", "relu", "silu", "gelu"]
SHAPES = ((5, 2), (3, 2, 2, 2), (9, 2, 3), (2, 2, 17))  # the third goes by columns, the fourth by planes


def doubles(*shape: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64).requires_grad_()


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize("shape", SHAPES)
def test_first_and_second_derivatives(
    activation: str, training: bool, compiled: bool, shape: tuple[int, ...]
) -> None:
    mean, var = doubles(2, seed=3).detach(), doubles(2, seed=4).detach().abs() + 0.5

    def call(input: Tensor, *parameters: Tensor) -> Tensor:
        weight, bias = parameters or (None, None)
        running = (mean.clone(), var.clone())
        return batch_norm_act(
            input, *running, weight, bias, training, 0.1, 1e-3, activation, compiled=compiled
        )

    for inputs in (
        (doubles(*shape, seed=0), doubles(2, seed=1), doubles(2, seed=2)),
        (doubles(*shape, seed=0),),
    ):
        assert torch.autograd.gradcheck(call, inputs)
        assert torch.autograd.gradgradcheck(call, inputs)


def as_it_is(values: np.ndarray, activation: str) -> tuple[np.ndarray, np.ndarray]:
    """Return an activation and its slope in float32, by a norm that changes nothing."""
    input = torch.tensor(values, dtype=torch.float32).view(1, 1, -1).requires_grad_()
    zeros, ones = torch.zeros(1), torch.ones(1)
    output = batch_norm_act(input, zeros, ones, None, None, False, 0.1, 0.0, activation)
    (grad,) = torch.autograd.grad(output.sum(), input)
    return output.detach().double().numpy().ravel(), grad.double().numpy().ravel()


def test_gelu_is_exact() -> None:
    """Against SciPy's normal distribution, relative to the result also in the tail."""
    values = np.linspace(-9, 9, 20_001, dtype=np.float32).astype(np.float64)
    output, slope = as_it_is(values, "gelu")
    cdf, density = special.ndtr(values), np.exp(-(values**2) / 2) / np.sqrt(2 * np.pi)
    np.testing.assert_allclose(output, values * cdf, rtol=6e-6, atol=1e-30)
    np.testing.assert_allclose(slope, cdf + values * density, rtol=2e-5, atol=2e-7)
    near = np.abs(values) < 3
    np.testing.assert_allclose(output[near], (values * cdf)[near], rtol=1.5e-6)


def test_silu_is_exact() -> None:
    values = np.linspace(-80, 80, 20_001, dtype=np.float32).astype(np.float64)
    output, slope = as_it_is(values, "silu")
    share = special.expit(values)
    np.testing.assert_allclose(output, values * share, rtol=1e-6, atol=1e-30)
    np.testing.assert_allclose(slope, share * (1 + values * (1 - share)), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_extreme_values(activation: str) -> None:
    """Very large ones overflow nowhere (torch's GELU does), and what is missing stays so."""
    values = torch.tensor([-3e38, -1e4, -200.0, 0.0, 200.0, 1e4, 3e38, float("nan")]).view(1, 1, -1)
    zeros, ones = torch.zeros(1), torch.ones(1)
    found = batch_norm_act(values, zeros, ones, None, None, False, 0.1, 0.0, activation)
    apply: Callable[[Tensor], Tensor] = getattr(functional, activation, lambda given: given)
    torch.testing.assert_close(found, apply(values.double()).float(), rtol=1e-6, atol=1e-30, equal_nan=True)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("training", [True, False])
def test_the_callers_gradient_stays_as_it_is(activation: str, training: bool) -> None:
    input, grad_output = doubles(3, 4, 5, seed=0), doubles(3, 4, 5, seed=1).detach()
    before = grad_output.clone()
    running = (torch.zeros(4, dtype=torch.float64), torch.ones(4, dtype=torch.float64))
    output = batch_norm_act(input, *running, None, None, training, 0.1, 1e-3, activation)
    torch.autograd.grad(output, input, grad_output)
    assert torch.equal(grad_output, before)


@pytest.mark.parametrize("shape", [(6, 5, 41, 37), (11, 700, 2, 2), (3, 4000)])
@pytest.mark.parametrize("last", [False, True])
def test_threads_share_the_work(shape: tuple[int, ...], last: bool, three_threads: None) -> None:
    """The same bits each time, and the values of one thread; by planes, columns and with channels last."""
    input = doubles(*shape, seed=0).detach()
    if last and len(shape) == 4:
        input = input.contiguous(memory_format=torch.channels_last)
    input.requires_grad_()
    weight, found = doubles(shape[1], seed=1), []
    for threads in (3, 3, 1):
        torch.set_num_threads(threads)
        output = batch_norm_act(input, None, None, weight, None, True, 0.1, 1e-3, "silu")
        assert output.stride() == input.stride()
        found.append((output, *torch.autograd.grad(output.square().sum(), (input, weight))))
    for first, second, alone in zip(*found, strict=True):
        assert torch.equal(first, second)
        torch.testing.assert_close(first, alone)


@pytest.mark.parametrize("shape", [(9, 3, 2, 2), (4, 3, 70, 66), (64, 3)])
@pytest.mark.parametrize("last", [False, True])
def test_large_means_cost_no_digits(shape: tuple[int, ...], last: bool) -> None:
    """A mean of 1e4 beside a deviation of 1: only the input's own rounding, 1e4 * 2^-24, is lost."""
    wide = doubles(*shape, seed=0).detach() + 1e4
    narrow = wide.float()
    if last and len(shape) == 4:
        narrow = narrow.contiguous(memory_format=torch.channels_last)
    mean, var = torch.zeros(3), torch.ones(3)
    output = batch_norm_act(narrow, mean, var, None, None, True, 1.0, 1e-5, "none")
    exact = narrow.double()
    wanted = functional.batch_norm(exact, None, None, training=True, eps=1e-5)
    torch.testing.assert_close(output.double(), wanted, rtol=0, atol=4e-3)
    dims = (0, *range(2, len(shape)))
    torch.testing.assert_close(mean.double(), exact.mean(dims), rtol=2e-7, atol=0)
    torch.testing.assert_close(var.double(), exact.var(dims), rtol=2e-6, atol=0)


def test_running_statistics_know_that_they_changed() -> None:
    """Autograd refuses a backward pass through what a forward pass has changed meanwhile."""
    mean, var = torch.zeros(2, requires_grad=True), torch.ones(2)
    product = (mean * var).sum()
    batch_norm_act(
        doubles(4, 2, seed=0).detach().float(), var, var.clone(), None, None, True, 0.1, 1e-5, "none"
    )
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        torch.autograd.backward(product)


def test_an_input_in_several_pieces_of_memory() -> None:
    values = doubles(8, 6, 5, seed=0)
    view = values[::2, ::2]
    found = batch_norm_act(view, None, None, None, None, True, 0.1, 1e-5, "relu")
    wanted = functional.relu(functional.batch_norm(view, None, None, training=True))
    torch.testing.assert_close(found, wanted)
    cotangent = doubles(4, 3, 5, seed=1).detach()
    for one, other in zip(
        torch.autograd.grad(found, values, cotangent),
        torch.autograd.grad(wanted, values, cotangent),
        strict=True,
    ):
        torch.testing.assert_close(one, other)


def test_layouts() -> None:
    images = torch.empty(2, 3, 4, 5)
    assert layout_of(images) == torch.contiguous_format
    assert layout_of(images.contiguous(memory_format=torch.channels_last)) == torch.channels_last
    assert layout_of(images[:, :, ::2]) == torch.contiguous_format
    volumes = torch.empty(2, 3, 4, 5, 6).contiguous(memory_format=torch.channels_last_3d)
    assert layout_of(volumes) == torch.channels_last_3d
    assert layout_of(torch.empty(2, 3)) == torch.contiguous_format


@pytest.mark.parametrize("shape", [(0, 3), (0, 3, 4, 4), (2, 3, 0)])
def test_an_empty_batch_changes_nothing(shape: Any) -> None:
    mean, var, weight = torch.zeros(3), torch.ones(3), torch.ones(3, requires_grad=True)
    output = batch_norm_act(torch.empty(shape), mean, var, weight, None, True, 0.1, 1e-5, "gelu")
    torch.autograd.backward(output.sum())
    assert output.shape == shape
    assert (mean.tolist(), var.tolist()) == ([0, 0, 0], [1, 1, 1])
    assert weight.grad is not None
    assert weight.grad.tolist() == [0, 0, 0]


@pytest.mark.parametrize("channels", [1, 3, 8, 24, 31, 32, 65, 300])
@pytest.mark.parametrize("activation", ["none", "gelu"])
def test_channels_last_of_any_number(channels: int, activation: str) -> None:
    """Few channels go by several rows at a time, and what is left over by itself."""
    input = doubles(5, channels, 3, 7, seed=0).detach().contiguous(memory_format=torch.channels_last)
    input.requires_grad_()
    upper, weight = doubles(5, channels, 3, 7, seed=1).detach(), doubles(channels, seed=2)
    apply: Callable[[Tensor], Tensor] = getattr(functional, activation, lambda given: given)
    found, wanted = [], []
    for training in (True, False):
        statistics = [(torch.zeros(channels).double(), torch.ones(channels).double()) for _ in range(2)]
        for outcome, call, running in (
            (found, lambda *given: batch_norm_act(*given, activation), statistics[0]),
            (wanted, lambda *given: apply(functional.batch_norm(*given)), statistics[1]),
        ):
            output = call(input, *running, weight, None, training, 0.3, 1e-5)
            outcome += [output, *running, *torch.autograd.grad(output, (input, weight), upper)]
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, other)


def test_millions_of_values_a_channel_in_float32() -> None:
    input = torch.empty(600_000, 1, 33).copy_(torch.tensor([-1.0, 1.0, 1.0]).repeat(11))
    var = torch.ones(1)
    mean = torch.zeros(1)
    batch_norm_act(input, mean, var, None, None, True, 1.0, 1e-5, "none")
    torch.testing.assert_close(mean, torch.tensor([1 / 3]), rtol=1e-6, atol=0)
    torch.testing.assert_close(var, torch.tensor([8 / 9]), rtol=1e-6, atol=0)


def test_statistics_with_a_gradient_are_torchs_error() -> None:
    mean, var = torch.zeros(2, requires_grad=True), torch.ones(2)
    for rows in (4, 1 << 18):
        with pytest.raises(RuntimeError, match="not differentiable with respect to argument 'running_mean'"):
            functional_batch_norm(torch.ones(rows, 2), mean, var, training=True)


def test_gradients_that_a_transform_hands_over() -> None:
    input, several = doubles(6, 3, 5, seed=0), doubles(2, 6, 3, 5, seed=1).detach()
    found, wanted = (
        torch.autograd.grad(output, input, several, is_grads_batched=True)[0]
        for output in (
            batch_norm_act(input, None, None, None, None, True, 0.1, 1e-5, "silu"),
            functional.silu(functional.batch_norm(input, None, None, training=True)),
        )
    )
    torch.testing.assert_close(found, wanted)
