"""Batch norm + activation as one differentiable function, on the CPU.

Ioffe and Szegedy 2015, https://arxiv.org/abs/1502.03167. The output is written over the normalised values,
and the gradient over that of the activation: two tensors of the input's size in all, where torch's two calls
allocate four. As in Rota Bulò, Porzi and Kontschieder 2018 (https://arxiv.org/abs/1712.02616) what the
activation saw is computed again, by images that stay in the cache. With z the normalised and scaled values, m
the values a channel, h = (input - mean) * rstd and g = grad_output * activation'(z):

    grad_input = weight * rstd * (g - sum(g) / m - h * sum(g * h) / m)        weight * rstd * g in evaluation
"""

import math
from typing import Any

import torch
from torch import Tensor

from lightning_tune.norm.compounds_rows import blocks

_aten = torch.ops.aten


class BatchNormActivation(torch.autograd.Function):
    """(input, weight, bias, running, training, momentum, eps, activation, memory_efficient) to output.

    A ReLU's gradient is read off the output, which most likely is kept by the next layer anyway; with
    `memory_efficient` the input alone is kept.
    """

    @staticmethod
    def forward(
        ctx: Any,
        input: Tensor,
        weight: Tensor | None,
        bias: Tensor | None,
        running: tuple[Tensor | None, Tensor | None],
        training: bool,
        momentum: float,
        eps: float,
        activation: str,
        memory_efficient: bool,
    ) -> Tensor:
        """Normalise, and activate in place."""
        output, mean, rstd = torch.native_batch_norm(input, weight, bias, *running, training, momentum, eps)
        if not training and running[0] is not None and running[1] is not None:
            mean, rstd = running[0].clone(), torch.rsqrt(running[1] + eps)
        match activation:
            case "relu":
                torch.relu_(output)
            case "silu":
                _aten.silu_(output)
            case "gelu":
                _aten.gelu_(output)
        ctx.settings = training, eps, activation, memory_efficient
        kept = output if activation == "relu" and not memory_efficient else None
        ctx.save_for_backward(input, weight, bias, mean, rstd, kept)
        return output

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of input, weight and bias."""
        (grad_output,) = gradients
        training, _, activation, memory_efficient = ctx.settings
        input, weight, bias, mean, rstd, output = ctx.saved_tensors
        if torch.is_grad_enabled():
            return _differentiable(ctx, grad_output)
        wide = torch.promote_types(input.dtype, torch.float32)
        mean, rstd = mean.to(wide), rstd.to(wide)
        scale = rstd if weight is None else rstd * weight
        shift = torch.zeros_like(mean) if bias is None else bias.to(wide)
        grad = _through(activation, grad_output, input, output, mean, scale, shift)
        fused = training and input.itemsize == 2 and not memory_efficient  # one rounding, and two passes less
        factor = None if weight is None else weight.to(wide)
        given = (grad, input, factor, None, None, mean, rstd, True, 0.0)
        whole, grad_weight, grad_bias = _aten.native_batch_norm_backward(*given, [fused, True, True])
        if fused:
            grad = whole
        elif ctx.needs_input_grad[0]:
            count = input.numel() // input.size(1)
            sums = (grad_weight / count, grad_bias / count) if training else None
            grad = _input_gradient(grad, input, mean, rstd, scale, sums, over=grad is not grad_output)
        return (
            grad if ctx.needs_input_grad[0] else None,
            None if weight is None else grad_weight.to(weight.dtype),
            None if bias is None else grad_bias.to(bias.dtype),
            *[None] * 6,
        )


def _through(
    activation: str,
    grad_output: Tensor,
    input: Tensor,
    output: Tensor | None,
    mean: Tensor,
    scale: Tensor,
    shift: Tensor,
) -> Tensor:
    """Return the gradient of what the activation saw."""
    if activation == "none":
        return grad_output
    if output is not None:
        grad: Tensor = _aten.threshold_backward(grad_output, output, 0)
        return grad
    result = torch.empty_like(input)
    for images in blocks(input):
        seen = _affine(input[images], mean, scale, shift)
        _activation_backward(activation, grad_output[images], seen, result[images])
    return result


def _input_gradient(
    grad: Tensor,
    input: Tensor,
    mean: Tensor,
    rstd: Tensor,
    scale: Tensor,
    sums: tuple[Tensor, Tensor] | None,
    *,
    over: bool,
) -> Tensor:
    """Return the gradient of the input; `over` writes it over the gradient that is given."""
    result = grad if over else torch.empty_like(input)
    factor = scale.view(-1, *[1] * (input.dim() - 2))
    zeros = torch.zeros_like(mean)
    for images in blocks(input):
        if sums is None:
            result[images].copy_(_affine(grad[images], zeros, scale, zeros))
            continue
        projected, average = sums
        rest = _affine(input[images], mean, -scale * rstd * projected, -scale * average)
        if grad.dtype == factor.dtype:
            torch.addcmul(rest, grad[images], factor, out=result[images])
        else:  # half types: the factor keeps its precision
            torch.add(rest, _affine(grad[images], zeros, scale, zeros), out=result[images])
    return result


def _affine(input: Tensor, mean: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """Return (input - mean) * scale + shift a channel, in one pass: an evaluation with variance 1."""
    ones = torch.ones_like(mean)
    return torch.native_batch_norm(input, scale, shift, mean, ones, False, 0.0, 0.0)[0]


def _activation_backward(activation: str, grad: Tensor, seen: Tensor, result: Tensor) -> None:
    """Write the gradient of what an activation saw to `result`."""
    match activation:
        case "relu":
            _aten.threshold_backward.grad_input(grad, seen, 0, grad_input=result)
        case "silu":
            _aten.silu_backward.grad_input(grad, seen, grad_input=result)
        case _:
            _aten.gelu_backward.grad_input(grad, seen, grad_input=result)


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


def _differentiable(ctx: Any, grad_output: Tensor) -> tuple[Tensor | None, ...]:
    """Return the same gradients by operators that autograd can differentiate again."""
    training, eps, activation, _ = ctx.settings
    input, weight, bias, mean, rstd, _ = ctx.saved_tensors
    over = (0, *range(2, input.dim()))
    wide = torch.promote_types(input.dtype, torch.float32)

    def spread(channels: Tensor) -> Tensor:
        return channels.to(wide).view(-1, *[1] * (input.dim() - 2))

    value = input.to(wide)
    if training:
        value = value - value.mean(over, keepdim=True)
        deviation = (value.square().mean(over, keepdim=True) + eps).rsqrt()
    else:
        value, deviation = value - spread(mean), spread(rstd)
    normal = value * deviation
    seen = normal if weight is None else normal * spread(weight)
    seen = seen if bias is None else seen + spread(bias)
    grad = grad_output.to(wide)
    grad = grad if activation == "none" else grad * _slope(activation, seen)
    grad_weight, grad_bias = (grad * normal).sum(over), grad.sum(over)
    inner = grad
    if training:
        inner = grad - grad.mean(over, keepdim=True) - normal * (grad * normal).mean(over, keepdim=True)
    factor = deviation if weight is None else deviation * spread(weight)
    return (
        (factor * inner).to(input.dtype),
        None if weight is None else grad_weight.to(weight.dtype),
        None if bias is None else grad_bias.to(bias.dtype),
        *[None] * 6,
    )
