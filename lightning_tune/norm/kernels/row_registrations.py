"""The row kernels as operators of torch: `torch.ops.lightning_tune.layer_norm` and its kin.

Inputs have torch's own shapes, the last dimensions are a row; outputs are contiguous. A gradient that is not
there is an empty tensor, as an operator must return tensors. Derivatives are in `row_operators` and
`add_row_operators`.
"""

import torch
from torch import Tensor

from lightning_tune.norm.kernels import rows
from lightning_tune.norm.kernels.launch import operator
from lightning_tune.norm.kernels.shapes import as_matrix, as_row, as_vector, leading_shape


@operator("lightning_tune::layer_norm")
def layer_norm(
    input: Tensor,
    normalized_shape: list[int],
    weight: Tensor | None,
    bias: Tensor | None,
    eps: float,
    dtype: torch.dtype,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return (output, mean, rstd), the output in `dtype`."""
    leading = leading_shape(input, normalized_shape)
    x = as_matrix(input, leading)
    y, mean, rstd = rows.layer_norm_forward(x, as_vector(weight), as_vector(bias), eps, dtype)
    return y.view(input.shape), mean.view(leading), rstd.view(leading)


@operator("lightning_tune::layer_norm_backward")
def layer_norm_backward(
    grad_output: Tensor, input: Tensor, mean: Tensor, rstd: Tensor, weight: Tensor | None, has_bias: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the gradients of input, weight and bias, empty where there is none."""
    leading, row = rstd.shape, input.shape[rstd.ndim :]
    grad_y, x = as_matrix(grad_output, leading), as_matrix(input, leading)
    statistics = (mean.reshape(-1), rstd.reshape(-1))
    grads = rows.layer_norm_backward(grad_y, x, *statistics, as_vector(weight), has_bias)
    return grads[0].view(input.shape), as_row(grads[1], row, input), as_row(grads[2], row, input)


@operator("lightning_tune::rms_norm")
def rms_norm(
    input: Tensor, normalized_shape: list[int], weight: Tensor | None, eps: float, dtype: torch.dtype
) -> tuple[Tensor, Tensor]:
    """Return (output, rstd), the output in `dtype`."""
    leading = leading_shape(input, normalized_shape)
    y, rstd = rows.rms_norm_forward(as_matrix(input, leading), as_vector(weight), eps, dtype)
    return y.view(input.shape), rstd.view(leading)


@operator("lightning_tune::rms_norm_backward")
def rms_norm_backward(
    grad_output: Tensor, input: Tensor, rstd: Tensor, weight: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Return the gradients of input and weight, empty where there is none."""
    leading, row = rstd.shape, input.shape[rstd.ndim :]
    grad_y, x = as_matrix(grad_output, leading), as_matrix(input, leading)
    grads = rows.rms_norm_backward(grad_y, x, rstd.reshape(-1), as_vector(weight))
    return grads[0].view(input.shape), as_row(grads[1], row, input)


@operator("lightning_tune::add_layer_norm")
def add_layer_norm(
    input: Tensor,
    residual: Tensor,
    normalized_shape: list[int],
    weight: Tensor | None,
    bias: Tensor | None,
    eps: float,
    memory_efficient: bool,
    dtype: torch.dtype,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return (output, sum, rstd, mean), the output in `dtype`."""
    leading = leading_shape(input, normalized_shape)
    x, other = as_matrix(input, leading), as_matrix(residual, leading)
    y, total, mean, rstd = rows.add_layer_norm_forward(
        x, other, as_vector(weight), as_vector(bias), eps, dtype
    )
    return y.view(input.shape), total.view(input.shape), rstd.view(leading), mean.view(leading)


@operator("lightning_tune::add_rms_norm")
def add_rms_norm(
    input: Tensor,
    residual: Tensor,
    normalized_shape: list[int],
    weight: Tensor | None,
    eps: float,
    memory_efficient: bool,
    dtype: torch.dtype,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return (output, sum, rstd), the output in `dtype`."""
    leading = leading_shape(input, normalized_shape)
    x, other = as_matrix(input, leading), as_matrix(residual, leading)
    y, total, rstd = rows.add_rms_norm_forward(x, other, as_vector(weight), eps, dtype)
    return y.view(input.shape), total.view(input.shape), rstd.view(leading)


@operator("lightning_tune::add_layer_norm_backward")
def add_layer_norm_backward(
    grad_output: Tensor,
    grad_sum: Tensor | None,
    total: Tensor,
    rstd: Tensor,
    mean: Tensor,
    weight: Tensor | None,
    has_bias: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the gradients of the sum, weight and bias, empty where there is none."""
    leading, row = rstd.shape, total.shape[rstd.ndim :]
    grads = rows.add_layer_norm_backward(
        as_matrix(grad_output, leading),
        None if grad_sum is None else as_matrix(grad_sum, leading),
        as_matrix(total, leading),
        mean.reshape(-1),
        rstd.reshape(-1),
        as_vector(weight),
        has_bias,
    )
    return grads[0].view(total.shape), as_row(grads[1], row, total), as_row(grads[2], row, total)


@operator("lightning_tune::add_rms_norm_backward")
def add_rms_norm_backward(
    grad_output: Tensor, grad_sum: Tensor | None, total: Tensor, rstd: Tensor, weight: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Return the gradients of the sum and weight, empty where there is none."""
    leading, row = rstd.shape, total.shape[rstd.ndim :]
    grads = rows.add_rms_norm_backward(
        as_matrix(grad_output, leading),
        None if grad_sum is None else as_matrix(grad_sum, leading),
        as_matrix(total, leading),
        rstd.reshape(-1),
        as_vector(weight),
    )
    return grads[0].view(total.shape), as_row(grads[1], row, total)


@operator("lightning_tune::add_layer_norm_backward_from_output")
def add_layer_norm_backward_from_output(
    grad_output: Tensor,
    grad_sum: Tensor | None,
    output: Tensor,
    rstd: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    dtype: torch.dtype,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the gradients of the sum (in `dtype`), weight and bias, empty where there is none."""
    leading, row = rstd.shape, output.shape[rstd.ndim :]
    grads = rows.add_layer_norm_backward_from_output(
        as_matrix(grad_output, leading),
        None if grad_sum is None else as_matrix(grad_sum, leading),
        as_matrix(output, leading),
        rstd.reshape(-1),
        as_vector(weight),
        as_vector(bias),
        dtype,
    )
    return grads[0].view(output.shape), as_row(grads[1], row, output), as_row(grads[2], row, output)


@operator("lightning_tune::add_rms_norm_backward_from_output")
def add_rms_norm_backward_from_output(
    grad_output: Tensor,
    grad_sum: Tensor | None,
    output: Tensor,
    rstd: Tensor,
    weight: Tensor | None,
    dtype: torch.dtype,
) -> tuple[Tensor, Tensor]:
    """Return the gradients of the sum (in `dtype`) and weight, empty where there is none."""
    leading, row = rstd.shape, output.shape[rstd.ndim :]
    grads = rows.add_rms_norm_backward_from_output(
        as_matrix(grad_output, leading),
        None if grad_sum is None else as_matrix(grad_sum, leading),
        as_matrix(output, leading),
        rstd.reshape(-1),
        as_vector(weight),
        dtype,
    )
    return grads[0].view(output.shape), as_row(grads[1], row, output)
