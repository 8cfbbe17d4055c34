"""Residual add + norm and norm + activation by torch's own operators, in two calls."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "none": lambda normed: normed,
    "relu": functional.relu,
    "silu": functional.silu,
    "gelu": functional.gelu,
}


def add_layer_norm(
    input: Tensor,
    residual: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None,
    bias: Tensor | None,
    eps: float,
) -> tuple[Tensor, Tensor]:
    """Return the layer norm of `input + residual`, and the sum; the arguments are the functional's."""
    total = input + residual
    return functional.layer_norm(total, normalized_shape, weight, bias, eps), total


def add_rms_norm(
    input: Tensor,
    residual: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None,
    eps: float | None,
) -> tuple[Tensor, Tensor]:
    """Return the RMS norm of `input + residual`, and the sum; the arguments are the functional's."""
    total = input + residual
    return functional.rms_norm(total, normalized_shape, weight, eps), total


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
) -> Tensor:
    """Return an activation of the batch norm of the input; the arguments are the functional's."""
    normed = functional.batch_norm(input, running_mean, running_var, weight, bias, training, momentum, eps)
    if activation == "relu" and not torch.compiler.is_compiling():
        return functional.relu(normed, inplace=True)  # its backward needs only its output
    return ACTIVATIONS[activation](normed)
