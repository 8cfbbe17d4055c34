"""Batch norm with the activation after it, by the kernels, as operators of torch and with every derivative.

`torch.ops.lightning_tune.batch_norm` and `batch_norm_eval`, and `batch_norm_backward` of both. The
activation's input is not kept: the backward pass computes it again from the input. Under autocast the output
has the input's type, as torch's has.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from lightning_tune.norm.kernels import channels
from lightning_tune.norm.kernels.differentiable import differentiable
from lightning_tune.norm.kernels.launch import operator
from lightning_tune.norm.kernels.tile_launch import gradient_type
from lightning_tune.norm.reference import batch as reference
from lightning_tune.norm.reference.group import by_channel, scaled_by_channel
from lightning_tune.norm.reference.statistics import following, widened


def batch_norm(
    input: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float, activation: str
) -> tuple[Tensor, Tensor, Tensor]:
    """Normalise each channel by the batch's own mean and deviation.

    Args:
        input: (samples, channels, *positions), float32, bfloat16 or float16, with any strides.
        weight: (channels,), or None for 1.
        bias: (channels,), or None for 0.
        eps: added to the variance.
        activation: "none", "relu", "silu" or "gelu".

    Returns:
        (output, mean, biased variance); the statistics are (channels,), float32 and not differentiable.
    """
    output, mean, var, _ = _batch_norm(input, weight, bias, eps, activation)
    return output, mean, var


def batch_norm_eval(
    input: Tensor,
    running_mean: Tensor,
    running_var: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    eps: float,
    activation: str,
) -> Tensor:
    """Normalise each channel by a given mean and variance, both constants; arguments as `batch_norm`'s."""
    output: Tensor = _batch_norm_eval(input, running_mean, running_var, weight, bias, eps, activation)[0]
    return output


@operator("lightning_tune::batch_norm")
def batch_norm_operator(
    input: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float, activation: str
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return (output, mean, biased variance, rstd)."""
    return channels.batch_norm_forward(input, weight, bias, eps, activation)


@operator("lightning_tune::batch_norm_eval")
def batch_norm_eval_operator(
    input: Tensor,
    running_mean: Tensor,
    running_var: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    eps: float,
    activation: str,
) -> tuple[Tensor, Tensor]:
    """Return (output, rstd)."""
    rstd = torch.rsqrt(running_var.float() + eps)
    return channels.batch_norm_eval(input, running_mean.float(), rstd, weight, bias, activation), rstd


@operator("lightning_tune::batch_norm_backward")
def batch_norm_backward_operator(
    grad_output: Tensor,
    input: Tensor,
    mean: Tensor,
    rstd: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    activation: str,
    training: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the gradients of input, weight and bias, the last two also for an absent one."""
    return channels.batch_norm_backward(
        grad_output, input, mean.float(), rstd, weight, bias, activation, training
    )


def _plain_batch_norm(
    input: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float, activation: str
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    output, mean, var, rstd = reference.batch_norm(widened(input), weight, bias, eps)
    return _activated(output, activation).to(input.dtype), mean, var, rstd


def _plain_batch_norm_eval(
    input: Tensor,
    running_mean: Tensor,
    running_var: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    eps: float,
    activation: str,
) -> tuple[Tensor, Tensor]:
    output = reference.batch_norm_eval(widened(input), running_mean, running_var, weight, bias, eps)
    return _activated(output, activation).to(input.dtype), torch.rsqrt(widened(running_var) + eps)


def _plain_batch_norm_backward(
    grad_output: Tensor,
    input: Tensor,
    mean: Tensor,
    rstd: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    activation: str,
    training: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    wide = widened(input)
    centre, inverse = by_channel(widened(mean), wide), by_channel(rstd, wide)
    if training:
        others = (0, *range(2, wide.ndim))
        centre, inverse = following(wide, centre.unsqueeze(0), inverse.unsqueeze(0), others)
    before = scaled_by_channel((wide - centre) * inverse, weight, bias)
    grad = widened(grad_output) * _slope(before, activation)
    grad_input, grad_weight, grad_bias = reference.batch_norm_backward(
        grad, input, widened(mean), rstd, weight, training=training
    )
    if grad_weight is None:
        grad_weight = torch.zeros_like(grad_bias)
    types = gradient_type(input, weight, bias), gradient_type(input, bias, weight)
    return grad_input, grad_weight.to(types[0]), grad_bias.to(types[1])


def _activated(before: Tensor, activation: str) -> Tensor:
    """Apply an activation by its name."""
    if activation == "none":
        return before
    function: Callable[[Tensor], Tensor] = getattr(torch.nn.functional, activation)
    return function(before)


def _slope(before: Tensor, activation: str) -> Tensor:
    """Return the derivative of an activation, itself differentiable."""
    if activation == "relu":
        return (before > 0).to(before.dtype)
    if activation == "silu":
        gate = torch.sigmoid(before)
        return torch.addcmul(gate, gate * before, 1 - gate)
    if activation == "gelu":
        below = 0.5 * (1 + torch.erf(before * math.sqrt(0.5)))
        density: Tensor = torch.exp(-0.5 * before.square()) * math.sqrt(0.5 / math.pi)
        return below + before * density
    return torch.ones_like(before)


def _keep_batch_norm(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> Sequence[int]:
    input, weight, bias, _, ctx.activation = inputs
    _, mean, _, rstd = output
    ctx.save_for_backward(input, mean, rstd, weight, bias)
    return (1, 2, 3)


def _pull_batch_norm(ctx: Any, grad_output: Tensor | None, *_: None) -> tuple[Tensor | None, ...]:
    grads = _pulled(ctx, grad_output, training=True)
    return *grads, None, None


def _keep_batch_norm_eval(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> Sequence[int]:
    input, mean, _, weight, bias, _, ctx.activation = inputs
    ctx.save_for_backward(input, mean, output[1], weight, bias)
    return (1,)


def _pull_batch_norm_eval(ctx: Any, grad_output: Tensor | None, _: None) -> tuple[Tensor | None, ...]:
    grad_input, grad_weight, grad_bias = _pulled(ctx, grad_output, training=False)
    return grad_input, None, None, grad_weight, grad_bias, None, None


def _pulled(
    ctx: Any, grad_output: Tensor | None, *, training: bool
) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    """Return the gradients of input, weight and bias, None for what is not there."""
    if grad_output is None:
        return None, None, None
    input, mean, rstd, weight, bias = ctx.saved_tensors
    grads = _batch_norm_backward(grad_output, input, mean, rstd, weight, bias, ctx.activation, training)
    return grads[0], None if weight is None else grads[1], None if bias is None else grads[2]


_batch_norm_backward = differentiable(batch_norm_backward_operator, _plain_batch_norm_backward)
_batch_norm = differentiable(batch_norm_operator, _plain_batch_norm, _keep_batch_norm, _pull_batch_norm)
_batch_norm_eval = differentiable(
    batch_norm_eval_operator, _plain_batch_norm_eval, _keep_batch_norm_eval, _pull_batch_norm_eval
)
