"""Group norm by the kernels, as operators of torch and as a function with every derivative.

`torch.ops.lightning_tune.group_norm` and `group_norm_backward`. Under autocast the output is float32, as
torch's is, without a copy of the input in float32.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from lightning_tune.norm.kernels import groups
from lightning_tune.norm.kernels.differentiable import differentiable
from lightning_tune.norm.kernels.launch import operator
from lightning_tune.norm.kernels.shapes import output_dtype
from lightning_tune.norm.reference import group as reference


def group_norm(
    input: Tensor, num_groups: int, weight: Tensor | None, bias: Tensor | None, eps: float
) -> Tensor:
    """Normalise each group of channels of a sample; arguments as `torch.nn.functional.group_norm`'s."""
    output: Tensor = _group_norm(input, num_groups, weight, bias, eps, output_dtype(input))[0]
    return output


@operator("lightning_tune::group_norm")
def group_norm_operator(
    input: Tensor,
    num_groups: int,
    weight: Tensor | None,
    bias: Tensor | None,
    eps: float,
    dtype: torch.dtype,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return (output, mean, rstd), the output in `dtype`."""
    return groups.group_norm_forward(input, num_groups, weight, bias, eps, dtype)


@operator("lightning_tune::group_norm_backward")
def group_norm_backward_operator(
    grad_output: Tensor, input: Tensor, mean: Tensor, rstd: Tensor, weight: Tensor | None, num_groups: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the gradients of input, weight and bias, the last two also for an absent one."""
    return groups.group_norm_backward(grad_output, input, mean, rstd, weight, num_groups)


def _plain_group_norm(
    input: Tensor,
    num_groups: int,
    weight: Tensor | None,
    bias: Tensor | None,
    eps: float,
    dtype: torch.dtype,
) -> tuple[Tensor, Tensor, Tensor]:
    return reference.group_norm(input.to(dtype), num_groups, weight, bias, eps)


def _plain_group_norm_backward(
    grad_output: Tensor, input: Tensor, mean: Tensor, rstd: Tensor, weight: Tensor | None, num_groups: int
) -> tuple[Tensor, Tensor, Tensor]:
    grads = reference.group_norm_backward(grad_output, input, mean, rstd, weight, num_groups)
    return grads[0], torch.zeros_like(grads[2]) if grads[1] is None else grads[1], grads[2]


def _keep(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> Sequence[int]:
    input, ctx.num_groups, weight, bias, _, _ = inputs
    _, mean, rstd = output
    ctx.save_for_backward(input, mean, rstd, weight)
    ctx.bias_dtype = None if bias is None else bias.dtype
    return (1, 2)


def _pull(ctx: Any, grad_output: Tensor | None, *_: None) -> tuple[Tensor | None, ...]:
    if grad_output is None:
        return (None,) * 6
    input, mean, rstd, weight = ctx.saved_tensors
    grads = _group_norm_backward(grad_output, input, mean, rstd, weight, ctx.num_groups)
    grad_weight = None if weight is None else grads[1]
    grad_bias = None if ctx.bias_dtype is None else grads[2].to(ctx.bias_dtype)
    return grads[0], None, grad_weight, grad_bias, None, None


_group_norm_backward = differentiable(group_norm_backward_operator, _plain_group_norm_backward)
_group_norm = differentiable(group_norm_operator, _plain_group_norm, _keep, _pull)
