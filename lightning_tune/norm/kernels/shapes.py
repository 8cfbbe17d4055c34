"""Between the shapes that torch's norms take and the matrices that row kernels take."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor


def leading_shape(input: Tensor, normalized_shape: Sequence[int]) -> torch.Size:
    """Return the dimensions before those of a row."""
    return input.shape[: input.ndim - len(normalized_shape)]


def as_matrix(tensor: Tensor, leading: torch.Size) -> Tensor:
    """Return (rows, columns) of a tensor, a view wherever there is one."""
    return tensor.reshape(math.prod(leading), math.prod(tensor.shape[len(leading) :]))


def as_vector(parameter: Tensor | None) -> Tensor | None:
    """Return a parameter as (columns,)."""
    return None if parameter is None else parameter.reshape(-1)


def as_row(grad: Tensor | None, row: torch.Size, like: Tensor) -> Tensor:
    """Return a parameter's gradient in its shape; for None an empty tensor, as operators return no None."""
    return like.new_empty(0) if grad is None else grad.view(row)


def none_if_absent(grad: Tensor, present: bool) -> Tensor | None:
    """Undo what `as_row` does to a gradient that is not there."""
    return grad if present else None


def output_dtype(*inputs: Tensor) -> torch.dtype:
    """Return the type of what a norm returns: that of the inputs' sum; float32 under autocast on a GPU."""
    if inputs[0].is_cuda and torch.is_autocast_enabled("cuda"):
        return torch.float32
    dtype = inputs[0].dtype
    for input in inputs[1:]:
        dtype = torch.promote_types(dtype, input.dtype)
    return dtype


def rms_eps(eps: float | None) -> float:
    """Return torch's default for None: the epsilon of the type that is computed in."""
    return torch.finfo(torch.float32).eps if eps is None else eps


def or_else(tensor: Tensor | None, stand_in: Tensor) -> Tensor:
    """Return what a kernel is given for an absent tensor, which it never touches."""
    return stand_in if tensor is None else tensor
