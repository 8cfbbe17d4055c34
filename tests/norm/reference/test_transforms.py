"""Forward and backward passes under torch.compile without a break, and under vmap."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from lightning_tune.norm import reference

DRAWS = torch.Generator().manual_seed(0)
X, GRAD = torch.randn(2, 3, 4, 6, generator=DRAWS, dtype=torch.float64)
ROW, CHANNEL = torch.randn(6, generator=DRAWS).double(), torch.randn(4, generator=DRAWS).double()


def layer(x: Tensor, grad: Tensor) -> tuple[Tensor | None, ...]:
    output, mean, rstd = reference.layer_norm(x, (6,), ROW, ROW, 1e-5)
    return output, *reference.layer_norm_backward(grad, x, mean, rstd, ROW)


def rms(x: Tensor, grad: Tensor) -> tuple[Tensor | None, ...]:
    output, rstd = reference.rms_norm(x, (6,), ROW, None)
    return output, *reference.rms_norm_backward(grad, x, rstd, ROW)


def group(x: Tensor, grad: Tensor) -> tuple[Tensor | None, ...]:
    output, mean, rstd = reference.group_norm(x, 2, CHANNEL, CHANNEL, 1e-5)
    return output, *reference.group_norm_backward(grad, x, mean, rstd, CHANNEL, 2)


def instance(x: Tensor, grad: Tensor) -> tuple[Tensor | None, ...]:
    output, mean, _, rstd = reference.instance_norm(x, CHANNEL, CHANNEL, 1e-5)
    return output, *reference.instance_norm_backward(grad, x, mean, rstd, CHANNEL)


def batch(x: Tensor, grad: Tensor) -> tuple[Tensor | None, ...]:
    output, mean, _, rstd = reference.batch_norm(x, CHANNEL, CHANNEL, 1e-5)
    return output, *reference.batch_norm_backward(grad, x, mean, rstd, CHANNEL, training=True)


def evaluated(x: Tensor, grad: Tensor) -> tuple[Tensor | None, ...]:
    mean, var = CHANNEL, CHANNEL.square()
    output = reference.batch_norm_eval(x, mean, var, CHANNEL, CHANNEL, 1e-5)
    rstd = torch.rsqrt(var + 1e-5)
    return output, *reference.batch_norm_backward(grad, x, mean, rstd, CHANNEL, training=False)


FAMILIES = [layer, rms, group, instance, batch, evaluated]


@pytest.mark.parametrize("dynamic", [True, False])
@pytest.mark.parametrize("family", FAMILIES)
def test_compiled_as_one_graph(family: Callable[..., Any], dynamic: bool) -> None:
    torch.compiler.reset()
    compiled = torch.compile(family, fullgraph=True, dynamic=dynamic, backend="eager")
    for got, wanted in zip(compiled(X, GRAD), family(X, GRAD), strict=True):
        torch.testing.assert_close(got, wanted)


@pytest.mark.parametrize("family", FAMILIES)
def test_mapped_over_a_new_dimension(family: Callable[..., Any]) -> None:
    xs, grads = torch.stack([X, GRAD, X + GRAD]), torch.stack([GRAD, X, X])
    mapped = torch.func.vmap(family)(xs, grads)
    for index in range(3):
        for got, wanted in zip(mapped, family(xs[index], grads[index]), strict=True):
            torch.testing.assert_close(got[index], wanted)
