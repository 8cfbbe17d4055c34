"""Layer norm and RMS norm by the row kernels, as operators of torch and as functions with every derivative.

`torch.ops.lightning_tune.layer_norm` and `rms_norm`, each with its `_backward`. Inputs have torch's own
shapes; the dimensions of `normalized_shape` are a row. (With a residual added before: `add_row_operators`.)
Under autocast the output is float32, as torch's is, without a copy of the input in float32.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from lightning_tune.norm.kernels import row_registrations as registered
from lightning_tune.norm.kernels.add_row_operators import add_layer_norm, add_rms_norm
from lightning_tune.norm.kernels.differentiable import differentiable
from lightning_tune.norm.kernels.shapes import (
    as_row,
    none_if_absent,
    output_dtype,
    rms_eps,
)
from lightning_tune.norm.reference import layer as layer_reference
from lightning_tune.norm.reference import rms as rms_reference

__all__ = ["add_layer_norm", "add_rms_norm", "layer_norm", "rms_norm"]


def layer_norm(
    input: Tensor, normalized_shape: Sequence[int], weight: Tensor | None, bias: Tensor | None, eps: float
) -> Tensor:
    """Normalise each row by its mean and deviation; arguments as `torch.nn.functional.layer_norm`'s."""
    dtype = output_dtype(input)
    return _layer_norm(input, list(normalized_shape), weight, bias, eps, dtype)[0]


def rms_norm(
    input: Tensor, normalized_shape: Sequence[int], weight: Tensor | None, eps: float | None
) -> Tensor:
    """Divide each row by its root mean square; arguments as `torch.nn.functional.rms_norm`'s."""
    dtype = output_dtype(input)
    return _rms_norm(input, list(normalized_shape), weight, rms_eps(eps), dtype)[0]


def _plain_layer_norm(
    input: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None,
    bias: Tensor | None,
    eps: float,
    dtype: torch.dtype,
) -> tuple[Tensor, Tensor, Tensor]:
    return layer_reference.layer_norm(input.to(dtype), normalized_shape, weight, bias, eps)


def _plain_layer_norm_backward(
    grad_output: Tensor, input: Tensor, mean: Tensor, rstd: Tensor, weight: Tensor | None, has_bias: bool
) -> tuple[Tensor, Tensor, Tensor]:
    grads = layer_reference.layer_norm_backward(grad_output, input, mean, rstd, weight)
    row = input.shape[rstd.ndim :]
    return grads[0], as_row(grads[1], row, input), as_row(grads[2] if has_bias else None, row, input)


def _plain_rms_norm(
    input: Tensor, normalized_shape: Sequence[int], weight: Tensor | None, eps: float, dtype: torch.dtype
) -> tuple[Tensor, Tensor]:
    return rms_reference.rms_norm(input.to(dtype), normalized_shape, weight, eps)


def _plain_rms_norm_backward(
    grad_output: Tensor, input: Tensor, rstd: Tensor, weight: Tensor | None
) -> tuple[Tensor, Tensor]:
    grads = rms_reference.rms_norm_backward(grad_output, input, rstd, weight)
    return grads[0], as_row(grads[1], input.shape[rstd.ndim :], input)


_layer_norm_backward = differentiable(registered.layer_norm_backward, _plain_layer_norm_backward)
_rms_norm_backward = differentiable(registered.rms_norm_backward, _plain_rms_norm_backward)


def _keep_layer_norm(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> Sequence[int]:
    input, _, weight, bias, _, _ = inputs
    _, mean, rstd = output
    ctx.save_for_backward(input, mean, rstd, weight)
    ctx.has_bias = bias is not None
    return (1, 2)


def _pull_layer_norm(ctx: Any, grad_output: Tensor | None, *_: None) -> tuple[Tensor | None, ...]:
    if grad_output is None:
        return (None,) * 6
    input, mean, rstd, weight = ctx.saved_tensors
    grads = _layer_norm_backward(grad_output, input, mean, rstd, weight, ctx.has_bias)
    grad_weight, grad_bias = (
        none_if_absent(grads[1], weight is not None),
        none_if_absent(grads[2], ctx.has_bias),
    )
    return grads[0], None, grad_weight, grad_bias, None, None


def _keep_rms_norm(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> Sequence[int]:
    input, _, weight, _, _ = inputs
    _, rstd = output
    ctx.save_for_backward(input, rstd, weight)
    return (1,)


def _pull_rms_norm(ctx: Any, grad_output: Tensor | None, _: None) -> tuple[Tensor | None, ...]:
    if grad_output is None:
        return (None,) * 5
    input, rstd, weight = ctx.saved_tensors
    grad_input, grad_weight = _rms_norm_backward(grad_output, input, rstd, weight)
    return grad_input, None, none_if_absent(grad_weight, weight is not None), None, None


_layer_norm = differentiable(
    registered.layer_norm, _plain_layer_norm, _keep_layer_norm, _pull_layer_norm, batched=1
)
_rms_norm = differentiable(registered.rms_norm, _plain_rms_norm, _keep_rms_norm, _pull_rms_norm, batched=1)
