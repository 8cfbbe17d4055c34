"""Layer norm, RMS norm and their fusions with the add before them, on the rows of a matrix.

Plain functions from tensors to tensors, without autograd. A matrix is (rows, columns) with any strides,
weight and bias are (columns,) or None; outputs are contiguous and statistics float32, one a row. The output y
has the type of what is normalised, or `dtype`.
"""

import torch
from torch import Tensor

from lightning_tune.norm.kernels import row_launch
from lightning_tune.norm.kernels.row_specifications import specifications

__all__ = [
    "add_layer_norm_backward",
    "add_layer_norm_backward_from_output",
    "add_layer_norm_forward",
    "add_rms_norm_backward",
    "add_rms_norm_backward_from_output",
    "add_rms_norm_forward",
    "layer_norm_backward",
    "layer_norm_forward",
    "rms_norm_backward",
    "rms_norm_forward",
    "specifications",
]


def layer_norm_forward(
    x: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    eps: float,
    dtype: torch.dtype | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return (y, mean, rstd) of layer norm over the rows of x."""
    y, _, mean, rstd = row_launch.forward(x, None, weight, bias, eps, dtype=dtype, centred=True)
    return y, mean, rstd


def rms_norm_forward(
    x: Tensor, weight: Tensor | None, eps: float, dtype: torch.dtype | None = None
) -> tuple[Tensor, Tensor]:
    """Return (y, rstd) of RMS norm over the rows of x."""
    y, _, _, rstd = row_launch.forward(x, None, weight, None, eps, dtype=dtype, centred=False)
    return y, rstd


def add_layer_norm_forward(
    x: Tensor,
    residual: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    eps: float,
    dtype: torch.dtype | None = None,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return (y, sum, mean, rstd) of layer norm over the rows of sum = x + residual."""
    return row_launch.forward(x, residual, weight, bias, eps, dtype=dtype, centred=True)


def add_rms_norm_forward(
    x: Tensor, residual: Tensor, weight: Tensor | None, eps: float, dtype: torch.dtype | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """Return (y, sum, rstd) of RMS norm over the rows of sum = x + residual."""
    y, total, _, rstd = row_launch.forward(x, residual, weight, None, eps, dtype=dtype, centred=False)
    return y, total, rstd


def layer_norm_backward(
    grad_y: Tensor, x: Tensor, mean: Tensor, rstd: Tensor, weight: Tensor | None, has_bias: bool
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """Return the gradients of x, weight and bias."""
    return add_layer_norm_backward(grad_y, None, x, mean, rstd, weight, has_bias)


def rms_norm_backward(
    grad_y: Tensor, x: Tensor, rstd: Tensor, weight: Tensor | None
) -> tuple[Tensor, Tensor | None]:
    """Return the gradients of x and weight."""
    return add_rms_norm_backward(grad_y, None, x, rstd, weight)


def add_layer_norm_backward(
    grad_y: Tensor,
    grad_sum: Tensor | None,
    total: Tensor,
    mean: Tensor,
    rstd: Tensor,
    weight: Tensor | None,
    has_bias: bool,
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """Return the gradients of the sum (which both summands take), weight and bias."""
    return row_launch.backward(
        grad_y, grad_sum, total, mean, rstd, weight, None, has_bias=has_bias, centred=True
    )


def add_rms_norm_backward(
    grad_y: Tensor, grad_sum: Tensor | None, total: Tensor, rstd: Tensor, weight: Tensor | None
) -> tuple[Tensor, Tensor | None]:
    """Return the gradients of the sum (which both summands take) and weight."""
    return row_launch.backward(
        grad_y, grad_sum, total, None, rstd, weight, None, has_bias=False, centred=False
    )[:2]


def add_layer_norm_backward_from_output(
    grad_y: Tensor,
    grad_sum: Tensor | None,
    y: Tensor,
    rstd: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    dtype: torch.dtype | None = None,
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """Return what `add_layer_norm_backward` does, from the output instead of the sum.

    The normalised row is (y - bias) / weight; columns whose weight is 0 count as at the mean. `dtype` is the
    sum's, if it is not y's.
    """
    has_bias = bias is not None
    return row_launch.backward(
        *(grad_y, grad_sum, y, None, rstd, weight, bias),
        has_bias=has_bias,
        centred=True,
        from_output=True,
        dtype=dtype,
    )


def add_rms_norm_backward_from_output(
    grad_y: Tensor,
    grad_sum: Tensor | None,
    y: Tensor,
    rstd: Tensor,
    weight: Tensor | None,
    dtype: torch.dtype | None = None,
) -> tuple[Tensor, Tensor | None]:
    """Return what `add_rms_norm_backward` does, from the output instead of the sum."""
    return row_launch.backward(
        *(grad_y, grad_sum, y, None, rstd, weight, None),
        has_bias=False,
        centred=False,
        from_output=True,
        dtype=dtype,
    )[:2]
