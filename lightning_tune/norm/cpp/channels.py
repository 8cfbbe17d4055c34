"""Batch norm and the activation after it as one differentiable function, which keeps its input alone.

Ioffe and Szegedy 2015, https://arxiv.org/abs/1502.03167. As in Rota Bulò, Porzi and Kontschieder 2018
(https://arxiv.org/abs/1712.02616) what the activation saw is computed again. With z the normalised and scaled
values, m the values a channel, h = (input - mean) * rstd and g = grad_output * activation'(z):

    grad_input = weight * rstd * (g - sum(g) / m - h * sum(g * h) / m)        weight * rstd * g in evaluation

The kernels in C++ compute it, forward and backward. Where they can't (there is no compiler, or the type is
float16), torch's operators do, and the backward pass is composed of them: slow, but what is kept is as
little.
"""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from lightning_tune.norm.cpp import calls, transforms_obstacle
from lightning_tune.norm.cpp.calls import ChannelNorm
from lightning_tune.norm.reference.statistics import mean_over, widened


def batch_norm_act(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None,
    bias: Tensor | None,
    training: bool,
    momentum: float,
    eps: float,
    activation: str,
    *,
    compiled: bool = True,
) -> Tensor:
    """Return an activation of the batch norm of the input; update the running statistics in training.

    Args:
        input: (samples, channels, *positions).
        running_mean: (channels,), or None in training.
        running_var: (channels,), or None in training.
        weight: (channels,), or None for 1.
        bias: (channels,), or None for 0.
        training: whether the batch's own statistics are used.
        momentum: the share of the batch in the running statistics.
        eps: added to the variance.
        activation: "none", "relu", "silu" or "gelu" (with the exact error function).
        compiled: by the kernels in C++, which take it (`channels_obstacle`); else by torch's operators.
    """
    norm = ChannelNorm(activation, training, momentum, eps)
    input = input.contiguous(memory_format=layout_of(input))
    output: Tensor = _BATCH_NORM_ACT(input, weight, bias, (running_mean, running_var), norm, compiled)
    return output


class BatchNormAct(torch.autograd.Function):
    """(input, weight, bias, running statistics, norm, compiled) to the activated output."""

    @staticmethod
    def forward(
        ctx: Any,
        input: Tensor,
        weight: Tensor | None,
        bias: Tensor | None,
        running: tuple[Tensor | None, Tensor | None],
        norm: ChannelNorm,
        compiled: bool,
    ) -> Tensor:
        """Normalise and activate; keep the input."""
        if compiled:
            output, mean, rstd = norm.forward(input, weight, bias, *running)
        else:
            output, mean, rstd = _by_torch(input, weight, bias, running, norm)
        ctx.norm, ctx.compiled = norm, compiled
        ctx.save_for_backward(input, weight, bias, mean, rstd)
        return output

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of input, weight and bias."""
        (grad_output,) = gradients
        input, weight, bias, mean, rstd = ctx.saved_tensors
        if not (
            ctx.compiled
            and not torch.is_grad_enabled()
            and transforms_obstacle() is None
            and calls.readable(input.dtype, grad_output, input)
            and calls.readable(calls.wide_type(input.dtype), mean, rstd)
            and calls.readable(calls.parameter_type(input, weight, bias), weight, bias)
        ):
            grads = _differentiable(ctx, grad_output)
        else:
            layout = layout_of(input)
            grads = ctx.norm.backward(
                grad_output.contiguous(memory_format=layout),
                input.contiguous(memory_format=layout),
                weight,
                bias,
                mean,
                rstd,
            )
        needed = zip(grads, ctx.needs_input_grad, strict=False)
        return *(grad if needs else None for grad, needs in needed), None, None, None


_BATCH_NORM_ACT: Callable[..., Any] = BatchNormAct.apply


def layout_of(input: Tensor) -> torch.memory_format:
    """Return how the kernels read an input: with the channels last if it lies so, else contiguous."""
    last = {4: torch.channels_last, 5: torch.channels_last_3d}.get(input.dim())
    if last is None or input.is_contiguous() or not input.is_contiguous(memory_format=last):
        return torch.contiguous_format
    return last


def _by_torch(
    input: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    running: tuple[Tensor | None, Tensor | None],
    norm: ChannelNorm,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return output, mean and rstd by torch's operators, which activate in place."""
    output, mean, rstd = torch.native_batch_norm(
        input, weight, bias, *running, norm.training, norm.momentum, norm.eps
    )
    if not norm.training and running[0] is not None and running[1] is not None:
        mean, rstd = running[0].clone(), torch.rsqrt(running[1] + norm.eps)
    match norm.activation:
        case "relu":
            torch.relu_(output)
        case "silu":
            torch.ops.aten.silu_(output)
        case "gelu":
            torch.ops.aten.gelu_(output)
    return output, mean, rstd


def _slope(activation: str, seen: Tensor) -> Tensor:
    """Return the derivative of an activation, differentiable again."""
    match activation:
        case "relu":
            return (seen > 0).to(seen.dtype)
        case "silu":
            share = torch.sigmoid(seen)
            return share * (1 + seen * (1 - share))
        case _:  # x * Phi(x): Phi(x) + x * phi(x)
            normal = torch.exp(-seen.square() / 2) / math.sqrt(2 * math.pi)
            return (1 + torch.erf(seen / math.sqrt(2))) / 2 + seen * normal


def _differentiable(ctx: Any, grad_output: Tensor) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """Return the same gradients by operators that autograd can differentiate again."""
    norm: ChannelNorm = ctx.norm
    input, weight, bias, mean, rstd = ctx.saved_tensors
    over = (0, *range(2, input.dim()))
    value = widened(input)

    def spread(channels: Tensor) -> Tensor:
        return channels.to(value.dtype).view(-1, *[1] * (input.dim() - 2))

    if norm.training:
        value = value - mean_over(value, over)
        deviation = (mean_over(value.square(), over) + norm.eps).rsqrt()
    else:
        value, deviation = value - spread(mean), spread(rstd)
    normal = value * deviation
    seen = normal if weight is None else normal * spread(weight)
    seen = seen if bias is None else seen + spread(bias)
    grad = widened(grad_output)
    grad = grad if norm.activation == "none" else grad * _slope(norm.activation, seen)
    inner = grad
    if norm.training:
        inner = grad - mean_over(grad, over) - normal * mean_over(grad * normal, over)
    factor = deviation if weight is None else deviation * spread(weight)
    return (
        (factor * inner).to(input.dtype),
        None if weight is None else (grad * normal).sum(over).to(weight.dtype),
        None if bias is None else grad.sum(over).to(bias.dtype),
    )
