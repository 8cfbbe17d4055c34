"""Residual add + norm and norm + activation on the CPU: torch's own operators, with less memory moved.

What costs on a CPU is memory: large tensors come from the system page by page, and touching fresh pages
takes longer than the arithmetic. So the steps here write over what they own, and the hand-written backward
passes (`compounds_rows.py`, `compounds_channels.py`) keep less and allocate one tensor where autograd would
allocate several. Where that cannot pay, since the tensors are small, or where only torch's own operators will
do (`torch.compile`, `torch.func`, forward-mode differentiation, other devices), the operators are composed.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.nn import functional

from lightning_tune.norm.compounds_channels import BatchNormActivation
from lightning_tune.norm.compounds_rows import AddNorm

MIB = 1 << 20
WORTH_BYTES = {"layer": 12 * MIB, "rms": MIB, "relu": 2 * MIB, "gelu": 32 * MIB, "silu": 32 * MIB}
"""From how large an input on a Python function of our own pays, measured by `benchmarks/norm_speed.py`.

RMS norm has no fused operator on the CPU. For the others what pays is fewer fresh pages; the C library's
allocator keeps tensors of up to 32 MiB for the next ones, more or less.
"""

_ADD_NORM: Callable[..., Any] = AddNorm.apply
_BATCH_NORM_ACTIVATION: Callable[..., Any] = BatchNormActivation.apply


def add_layer_norm(
    input: Tensor,
    residual: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
    memory_efficient: bool = False,
) -> tuple[Tensor, Tensor]:
    """Return the layer norm of `input + residual`, and the sum.

    Args:
        input: of shape (..., *normalized_shape).
        residual: of the same shape.
        normalized_shape: the trailing dimensions that are normalised over.
        weight: of shape `normalized_shape`, or none.
        bias: of shape `normalized_shape`, or none.
        eps: added to the variance.
        memory_efficient: keep the output for the backward pass, not the sum. The normalised row is then
            recovered as (output - bias) / weight; columns whose weight is 0 count as at the mean.

    Example:
        >>> output, total = add_layer_norm(torch.ones(2, 4), torch.arange(4.0).expand(2, 4), [4])
        >>> total[0].tolist(), [round(value, 2) for value in output[0].tolist()]
        ([1.0, 2.0, 3.0, 4.0], [-1.34, -0.45, 0.45, 1.34])
    """
    if not (memory_efficient or _pays("layer", input)) or _composed(input, residual):
        total = input + residual
        return functional.layer_norm(total, normalized_shape, weight, bias, eps), total
    shape = tuple(normalized_shape)
    output, total, _ = _ADD_NORM(input, residual, weight, bias, shape, eps, True, memory_efficient)
    return output, total


def add_rms_norm(
    input: Tensor,
    residual: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    eps: float | None = None,
    memory_efficient: bool = False,
) -> tuple[Tensor, Tensor]:
    """Return the root-mean-square norm of `input + residual`, and the sum.

    Args:
        input: of shape (..., *normalized_shape).
        residual: of the same shape.
        normalized_shape: the trailing dimensions that are normalised over.
        weight: of shape `normalized_shape`, or none.
        eps: added to the mean square; None is the epsilon of the type that computes.
        memory_efficient: as of `add_layer_norm`.

    Example:
        >>> output, total = add_rms_norm(torch.ones(1, 2), torch.tensor([[2.0, 3.0]]), [2])
        >>> total.tolist(), [round(value, 2) for value in output[0].tolist()]
        ([[3.0, 4.0]], [0.85, 1.13])
    """
    if not (memory_efficient or _pays("rms", input)) or _composed(input, residual):
        total = input + residual
        return functional.rms_norm(total, normalized_shape, weight, eps), total
    shape = tuple(normalized_shape)
    if input.shape[input.dim() - len(shape) :] != shape or (weight is not None and weight.shape != shape):
        functional.rms_norm(input, shape, weight, eps)  # says what is wrong
    output, total, _ = _ADD_NORM(input, residual, weight, None, shape, eps, False, memory_efficient)
    return output, total


def batch_norm_act(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
    activation: str = "relu",
    memory_efficient: bool = False,
) -> Tensor:
    """Return an activation of the batch norm of the input; update the running statistics in training.

    Args:
        input: of shape (batch, channels, ...).
        running_mean: of shape (channels,), or none in training.
        running_var: of shape (channels,), or none in training.
        weight: of shape (channels,), or none.
        bias: of shape (channels,), or none.
        training: whether the batch's own statistics are used.
        momentum: the share of the batch in the running statistics.
        eps: added to the variance.
        activation: "none", "relu", "silu" or "gelu" (with the exact error function).
        memory_efficient: keep the input alone for the backward pass, and recompute what is between.

    Example:
        >>> pixels = torch.tensor([[[[1.0, 3.0]]]])
        >>> batch_norm_act(pixels, torch.tensor([2.0]), torch.tensor([1.0]), eps=0.0).tolist()
        [[[[0.0, 1.0]]]]
    """
    differentiable = torch.is_grad_enabled() and any(
        tensor is not None and tensor.requires_grad for tensor in (input, weight, bias)
    )
    composed = _composed(input) or not _covered(input, running_mean, running_var, weight, bias, training)
    composed = composed or activation not in WORTH_BYTES  # batch norm alone is one call
    if composed or not differentiable or not (memory_efficient or _pays(activation, input)):
        normed = functional.batch_norm(
            input, running_mean, running_var, weight, bias, training, momentum, eps
        )
        return _activated(normed, activation, in_place=not (composed or differentiable))
    running = (running_mean, running_var)
    output: Tensor = _BATCH_NORM_ACTIVATION(
        input, weight, bias, running, training, momentum, eps, activation, memory_efficient
    )
    return output


def _activated(normed: Tensor, activation: str, *, in_place: bool) -> Tensor:
    match activation:
        case "relu":  # its backward needs only its output
            return functional.relu(normed, inplace=not torch.compiler.is_compiling())
        case "silu":
            return functional.silu(normed, inplace=in_place)
        case "gelu":
            return functional.gelu(normed)
        case _:
            return normed


def _pays(kind: str, input: Tensor) -> bool:
    return input.numel() * input.itemsize >= WORTH_BYTES[kind]


def _composed(*tensors: Tensor) -> bool:
    """Whether torch's operators must be composed: a transform is active, or the case is not covered."""
    if torch.compiler.is_compiling() or torch._C._are_functorch_transforms_active():
        return True
    if forward_ad._current_level >= 0:
        return True
    first = tensors[0]
    return not first.is_floating_point() or any(
        tensor.device.type != "cpu"
        or tensor.numel() == 0
        or tensor.dtype != first.dtype
        or tensor.shape != first.shape
        or (len(tensors) == 2 and not tensor.is_contiguous())
        for tensor in tensors
    )


def _covered(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None,
    bias: Tensor | None,
    training: bool,
) -> bool:
    """Whether an image is one stretch of memory, and nothing is there for torch to refuse."""
    formats = {4: torch.channels_last, 5: torch.channels_last_3d}
    if input.dim() < 2 or not (
        input.is_contiguous()
        or (input.dim() in formats and input.is_contiguous(memory_format=formats[input.dim()]))
    ):
        return False
    channels = input.size(1)
    if not training and (running_mean is None or running_var is None):
        return False
    return input.numel() > channels and all(
        tensor is None or tensor.shape == (channels,) for tensor in (running_mean, running_var, weight, bias)
    )
