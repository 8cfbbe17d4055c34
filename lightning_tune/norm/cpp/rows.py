"""Layer and RMS norm of rows, of an input or its sum with a residual, as one differentiable function.

Layer norm: Ba, Kiros and Hinton 2016, https://arxiv.org/abs/1607.06450. RMS norm: Zhang and Sennrich 2019,
https://arxiv.org/abs/1910.07467. The kernels in C++ compute it, forward and backward. Where they can't (there
is no compiler, or the type is float16), torch's operators do, and the backward pass is the reference's: slow,
but what is kept for it is as little.
"""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from lightning_tune.norm import reference
from lightning_tune.norm.cpp import calls, transforms_obstacle
from lightning_tune.norm.reference.add import (
    add_norm_backward,
    gradient_through_rstd,
    normal_from_output,
)
from lightning_tune.norm.reference.statistics import mean_over, widened


def row_norm(
    input: Tensor,
    residual: Tensor | None,
    shape: tuple[int, ...],
    weight: Tensor | None,
    bias: Tensor | None,
    eps: float | None,
    *,
    centred: bool,
    memory_efficient: bool = False,
    compiled: bool = True,
) -> tuple[Tensor, Tensor]:
    """Return the norm of an input or its sum with a residual, and the sum (or the input).

    Args:
        input: (*, *shape).
        residual: the same, or None.
        shape: of a row.
        weight: of that shape, or None for 1.
        bias: likewise, or None for 0; None for RMS norm.
        eps: added to the variance or mean square; None is the epsilon of the type that computes.
        centred: layer norm, else RMS norm.
        memory_efficient: keep the output for the backward pass, not the sum. The normalised row is then
            recovered as (output - bias) / weight; columns whose weight is 0 count as at the mean.
        compiled: by the kernels in C++, which take it (`rows_obstacle`); else by torch's operators.
    """
    if eps is None:
        eps = torch.finfo(torch.promote_types(input.dtype, torch.float32)).eps
    residual = None if residual is None else residual.contiguous()
    output, total, _ = _ROW_NORM(
        input.contiguous(), residual, weight, bias, shape, eps, centred, memory_efficient, compiled
    )
    return output, input if total is None else total


class RowNorm(torch.autograd.Function):
    """(input, residual, weight, bias, shape, eps, centred, memory_efficient, compiled) to (output, sum, …).

    The sum is None without a residual. The third is rstd with `memory_efficient`, else None. It is there for
    the derivative of the backward pass: the sum is not kept then, and what is recovered from the output
    depends on it through rstd.
    """

    @staticmethod
    def forward(
        ctx: Any,
        input: Tensor,
        residual: Tensor | None,
        weight: Tensor | None,
        bias: Tensor | None,
        shape: tuple[int, ...],
        eps: float,
        centred: bool,
        memory_efficient: bool,
        compiled: bool,
    ) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """Add and normalise; keep the sum, or the output in its place."""
        if compiled:
            rows, columns = input.shape[: input.dim() - len(shape)].numel(), math.prod(shape)
            output, total, statistics = calls.row_norm(
                input,
                residual,
                weight,
                bias,
                rows,
                columns,
                eps,
                centred=centred,
                with_mean=centred and not memory_efficient,
            )
        else:
            total = input if residual is None else input + residual
            if centred:
                output, _, statistics = torch.native_layer_norm(total, shape, weight, bias, eps)
            else:
                output, statistics = reference.rms_norm(total, shape, weight, eps)
        ctx.set_materialize_grads(False)
        ctx.settings = shape, eps, centred, memory_efficient, compiled
        kept = output if memory_efficient else total
        ctx.save_for_backward(kept, statistics, weight, bias)
        return output, None if residual is None else total, statistics if memory_efficient else None

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        """Return the gradients of input and residual (one tensor), weight and bias."""
        grad_output, grad_total, grad_rstd = gradients
        shape, _, centred, memory_efficient, compiled = ctx.settings
        kept, statistics, weight, bias = ctx.saved_tensors
        if not (
            compiled
            and grad_rstd is None
            and not torch.is_grad_enabled()
            and transforms_obstacle() is None
            and calls.readable(kept.dtype, grad_output, grad_total, kept)
            and calls.readable(calls.wide_type(kept.dtype), statistics)
            and calls.readable(calls.parameter_type(kept, weight, bias), weight, bias)
        ):
            grads = _differentiable(ctx, grad_output, grad_total, grad_rstd)
        elif grad_output is None:
            grads = (grad_total, None, None)
        else:
            grads = calls.row_norm_backward(
                grad_output.contiguous(),
                None if grad_total is None else grad_total.contiguous(),
                kept.contiguous(),
                weight,
                bias,
                statistics.contiguous(),
                math.prod(shape),
                centred=centred,
                recovers=memory_efficient,
            )
        grad, grad_weight, grad_bias = grads
        needs = ctx.needs_input_grad
        return (
            grad if needs[0] else None,
            grad if needs[1] else None,
            grad_weight if needs[2] else None,
            grad_bias if needs[3] else None,
            *[None] * 5,
        )


_ROW_NORM: Callable[..., Any] = RowNorm.apply


def _differentiable(
    ctx: Any, grad_output: Tensor | None, grad_total: Tensor | None, grad_rstd: Tensor | None
) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    """Return the gradients of the sum, weight and bias by operators that autograd can differentiate again."""
    shape, eps, centred, memory_efficient, _ = ctx.settings
    kept, statistics, weight, bias = ctx.saved_tensors
    over = tuple(range(-len(shape), 0))
    if memory_efficient:
        rstd = statistics.to(widened(kept).dtype).view(kept.shape[: kept.dim() - len(shape)])
        normal = normal_from_output(kept, rstd, weight, bias)
    else:
        value = widened(kept)
        value = value - mean_over(value, over) if centred else value
        rstd = (mean_over(value.square(), over) + eps).rsqrt()
        normal, rstd = value * rstd, rstd.squeeze(over)
    grad = torch.zeros_like(normal) if grad_total is None else widened(grad_total)
    grad_weight = grad_bias = None
    if grad_output is not None:
        grad, *grads = add_norm_backward(grad_output, grad, normal, rstd, weight, centred=centred)
        grad_weight = None if weight is None else grads[0].to(weight.dtype)
        grad_bias = None if bias is None else grads[1].to(bias.dtype)
    if grad_rstd is not None:
        grad = grad + gradient_through_rstd(widened(grad_rstd).view_as(rstd), rstd, normal)
    return grad.to(kept.dtype), grad_weight, grad_bias
