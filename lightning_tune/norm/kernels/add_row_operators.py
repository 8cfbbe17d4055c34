"""Residual add and norm in one kernel, as operators of torch and as functions with every derivative.

`torch.ops.lightning_tune.add_layer_norm` and `add_rms_norm`, each with its `_backward`. The backward pass
needs the normalised rows. It finds them from the sum, or, if `memory_efficient`, from the output, which the
layer after it keeps anyway; then the sum can go as soon as it has been used. Where rows are found from the
output the derivative of the gradient goes through rstd, so that rstd has a gradient, too: -rstd² x̂ / n.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from lightning_tune.norm.kernels import row_registrations as registered
from lightning_tune.norm.kernels.differentiable import differentiable
from lightning_tune.norm.kernels.shapes import as_row, none_if_absent, output_dtype, rms_eps
from lightning_tune.norm.reference import layer as layer_reference
from lightning_tune.norm.reference import rms as rms_reference
from lightning_tune.norm.reference.add import (
    add_norm_backward,
    gradient_through_rstd,
    normal_from_output,
)


def add_layer_norm(
    input: Tensor,
    residual: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None,
    bias: Tensor | None,
    eps: float,
    memory_efficient: bool,
) -> tuple[Tensor, Tensor]:
    """Return (layer norm of sum, sum), with sum = input + residual."""
    input, residual = torch.broadcast_tensors(input, residual)  # type: ignore[no-untyped-call]
    dtype = output_dtype(input, residual)
    output, total, _, _ = _add_layer_norm(
        input, residual, list(normalized_shape), weight, bias, eps, memory_efficient, dtype
    )
    return output, total


def add_rms_norm(
    input: Tensor,
    residual: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None,
    eps: float | None,
    memory_efficient: bool,
) -> tuple[Tensor, Tensor]:
    """Return (RMS norm of sum, sum), with sum = input + residual."""
    input, residual = torch.broadcast_tensors(input, residual)  # type: ignore[no-untyped-call]
    dtype = output_dtype(input, residual)
    output, total, _ = _add_rms_norm(
        input, residual, list(normalized_shape), weight, rms_eps(eps), memory_efficient, dtype
    )
    return output, total


def _plain_add_layer_norm(
    input: Tensor,
    residual: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None,
    bias: Tensor | None,
    eps: float,
    memory_efficient: bool,
    dtype: torch.dtype,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    total = input + residual
    output, mean, rstd = layer_reference.layer_norm(total.to(dtype), normalized_shape, weight, bias, eps)
    return output, total, rstd, mean


def _plain_add_rms_norm(
    input: Tensor,
    residual: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None,
    eps: float,
    memory_efficient: bool,
    dtype: torch.dtype,
) -> tuple[Tensor, Tensor, Tensor]:
    total = input + residual
    output, rstd = rms_reference.rms_norm(total.to(dtype), normalized_shape, weight, eps)
    return output, total, rstd


def _plain_add_layer_norm_backward(
    grad_output: Tensor,
    grad_sum: Tensor | None,
    total: Tensor,
    rstd: Tensor,
    mean: Tensor,
    weight: Tensor | None,
    has_bias: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    grads = layer_reference.layer_norm_backward(grad_output, total, mean, rstd, weight)
    grad_total = grads[0] if grad_sum is None else grads[0] + grad_sum
    row = total.shape[rstd.ndim :]
    return grad_total, as_row(grads[1], row, total), as_row(grads[2] if has_bias else None, row, total)


def _plain_add_rms_norm_backward(
    grad_output: Tensor, grad_sum: Tensor | None, total: Tensor, rstd: Tensor, weight: Tensor | None
) -> tuple[Tensor, Tensor]:
    grads = rms_reference.rms_norm_backward(grad_output, total, rstd, weight)
    grad_total = grads[0] if grad_sum is None else grads[0] + grad_sum
    return grad_total, as_row(grads[1], total.shape[rstd.ndim :], total)


def _plain_add_layer_norm_backward_from_output(
    grad_output: Tensor,
    grad_sum: Tensor | None,
    output: Tensor,
    rstd: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    dtype: torch.dtype,
) -> tuple[Tensor, Tensor, Tensor]:
    row, like = output.shape[rstd.ndim :], output if weight is None else weight
    normal = normal_from_output(output, rstd, weight, bias)
    grads = add_norm_backward(grad_output, grad_sum, normal, rstd, weight, centred=True)
    grad_weight = None if weight is None else grads[1].to(weight.dtype)
    grad_bias = None if bias is None else grads[2].to(like.dtype)
    return grads[0].to(dtype), as_row(grad_weight, row, output), as_row(grad_bias, row, output)


def _plain_add_rms_norm_backward_from_output(
    grad_output: Tensor,
    grad_sum: Tensor | None,
    output: Tensor,
    rstd: Tensor,
    weight: Tensor | None,
    dtype: torch.dtype,
) -> tuple[Tensor, Tensor]:
    normal = normal_from_output(output, rstd, weight, None)
    grads = add_norm_backward(grad_output, grad_sum, normal, rstd, weight, centred=False)
    grad_weight = None if weight is None else grads[1].to(weight.dtype)
    return grads[0].to(dtype), as_row(grad_weight, output.shape[rstd.ndim :], output)


_add_layer_norm_backward = differentiable(registered.add_layer_norm_backward, _plain_add_layer_norm_backward)
_add_rms_norm_backward = differentiable(registered.add_rms_norm_backward, _plain_add_rms_norm_backward)
_add_layer_norm_backward_from_output = differentiable(
    registered.add_layer_norm_backward_from_output, _plain_add_layer_norm_backward_from_output
)
_add_rms_norm_backward_from_output = differentiable(
    registered.add_rms_norm_backward_from_output, _plain_add_rms_norm_backward_from_output
)


def _keep_add_layer_norm(ctx: Any, inputs: tuple[Any, ...], results: tuple[Tensor, ...]) -> Sequence[int]:
    _, _, _, weight, bias, _, memory_efficient, _ = inputs
    output, total, rstd, mean = results
    ctx.memory_efficient, ctx.has_bias, ctx.sum_dtype = memory_efficient, bias is not None, total.dtype
    if memory_efficient:
        ctx.save_for_backward(output, rstd, weight, bias)
        return (3,)
    ctx.save_for_backward(total, rstd, mean, weight)
    return (2, 3)


def _pull_add_layer_norm(
    ctx: Any, grad_output: Tensor | None, grad_sum: Tensor | None, grad_rstd: Tensor | None, _: None
) -> tuple[Tensor | None, ...]:
    kept, rstd, *rest = ctx.saved_tensors
    grad_total, grad_weight, grad_bias = grad_sum, None, None
    if grad_output is not None:
        if ctx.memory_efficient:
            weight, bias = rest
            grads = _add_layer_norm_backward_from_output(
                grad_output, grad_sum, kept, rstd, weight, bias, ctx.sum_dtype
            )
        else:
            mean, weight = rest
            grads = _add_layer_norm_backward(grad_output, grad_sum, kept, rstd, mean, weight, ctx.has_bias)
        grad_total = grads[0]
        grad_weight = none_if_absent(grads[1], weight is not None)
        grad_bias = none_if_absent(grads[2], ctx.has_bias)
    if grad_rstd is not None:
        through = gradient_through_rstd(grad_rstd, rstd, normal_from_output(kept, rstd, *rest)).to(
            ctx.sum_dtype
        )
        grad_total = through if grad_total is None else grad_total + through
    return grad_total, grad_total, None, grad_weight, grad_bias, None, None, None


def _keep_add_rms_norm(ctx: Any, inputs: tuple[Any, ...], results: tuple[Tensor, ...]) -> Sequence[int]:
    _, _, _, weight, _, memory_efficient, _ = inputs
    output, total, rstd = results
    ctx.memory_efficient, ctx.sum_dtype = memory_efficient, total.dtype
    ctx.save_for_backward(output if memory_efficient else total, rstd, weight)
    return () if memory_efficient else (2,)


def _pull_add_rms_norm(
    ctx: Any, grad_output: Tensor | None, grad_sum: Tensor | None, grad_rstd: Tensor | None
) -> tuple[Tensor | None, ...]:
    kept, rstd, weight = ctx.saved_tensors
    grad_total, grad_weight = grad_sum, None
    if grad_output is not None:
        if ctx.memory_efficient:
            grads = _add_rms_norm_backward_from_output(
                grad_output, grad_sum, kept, rstd, weight, ctx.sum_dtype
            )
        else:
            grads = _add_rms_norm_backward(grad_output, grad_sum, kept, rstd, weight)
        grad_total, grad_weight = grads[0], none_if_absent(grads[1], weight is not None)
    if grad_rstd is not None:
        through = gradient_through_rstd(grad_rstd, rstd, normal_from_output(kept, rstd, weight, None)).to(
            ctx.sum_dtype
        )
        grad_total = through if grad_total is None else grad_total + through
    return grad_total, grad_total, None, grad_weight, None, None, None


_add_layer_norm = differentiable(
    registered.add_layer_norm, _plain_add_layer_norm, _keep_add_layer_norm, _pull_add_layer_norm, batched=2
)
_add_rms_norm = differentiable(
    registered.add_rms_norm, _plain_add_rms_norm, _keep_add_rms_norm, _pull_add_rms_norm, batched=2
)
