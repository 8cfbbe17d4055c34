"""The backward pass of a residual add and a norm from its normalised rows, however those are had.

They are computed from the sum, or recovered from the output, h = (y - bias) / weight, where the sum was not
kept. The gradients are those of `layer.py` and `rms.py`. They depend on the sum through h and through rstd:
so rstd has a gradient of its own, and d rstd / d sum = -rstd² h / n over the n elements of a row.
"""

import torch
from torch import Tensor

from lightning_tune.norm.reference.layer import layer_norm_recovered, sum_of_rows
from lightning_tune.norm.reference.statistics import mean_over, scaled, widened


def add_norm_backward(
    grad_output: Tensor,
    grad_sum: Tensor | None,
    normal: Tensor,
    rstd: Tensor,
    weight: Tensor | None,
    *,
    centred: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the gradients of the sum, weight and bias; differentiable by all tensors.

    Args:
        grad_output: the gradient of the output, in its shape.
        grad_sum: that of the sum, or None.
        normal: (*, *row), the normalised rows, in the type that is computed in.
        rstd: (*), of each row.
        weight: (*row), or None for 1.
        centred: whether it is layer norm, else RMS norm.

    Returns:
        (grad_sum, grad_weight, grad_bias), in the type that is computed in.

    Example:
        >>> normal, ones = torch.tensor([[-1.0, 1.0]]), torch.ones(1, 2)
        >>> add_norm_backward(ones, 2 * ones, normal, torch.ones(1), None, centred=True)[0].tolist()
        [[2.0, 2.0]]
    """
    row, dims = normal.shape[rstd.ndim :], tuple(range(rstd.ndim - normal.ndim, 0))
    grad = widened(grad_output)
    weighted = scaled(grad, weight, None)
    along = normal * mean_over(weighted * normal, dims)
    inner = weighted - mean_over(weighted, dims) - along if centred else weighted - along
    grad_total = _spread(rstd, row) * inner
    if grad_sum is not None:
        grad_total = grad_total + grad_sum
    return grad_total, sum_of_rows(grad * normal, row), sum_of_rows(grad, row)


def normal_from_output(output: Tensor, rstd: Tensor, weight: Tensor | None, bias: Tensor | None) -> Tensor:
    """Return the normalised rows, in the type that is computed in."""
    return layer_norm_recovered(output, torch.ones_like(rstd), weight, bias)


def gradient_through_rstd(grad_rstd: Tensor, rstd: Tensor, normal: Tensor) -> Tensor:
    """Return the gradient of the sum from that of rstd, both (*), and the normalised rows."""
    row = normal.shape[rstd.ndim :]
    return _spread(-grad_rstd * rstd.square() / max(row.numel(), 1), row) * normal


def _spread(statistic: Tensor, row: torch.Size) -> Tensor:
    """Let a statistic of the rows broadcast over them."""
    return statistic.reshape(statistic.shape + (1,) * len(row))
