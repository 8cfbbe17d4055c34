"""Layer norm: each row by its own mean and deviation.

Ba, Kiros and Hinton 2016, https://arxiv.org/abs/1607.06450. A row holds the last dimensions of the input,
those of `normalized_shape`, n elements in all. For a row x

    mean = sum(x) / n        rstd = 1 / sqrt(sum((x - mean)²) / n + eps)        (their eq. 4)
    h    = (x - mean) · rstd        y = weight · h + bias

With g = dL/dy · weight, and because mean and rstd depend on every element of the row,

    dL/dx = rstd · (g - mean(g) - h · mean(g · h))
    dL/dweight = sum over rows of dL/dy · h        dL/dbias = sum over rows of dL/dy

A residual that is added before needs nothing more: both summands get dL/dx plus the gradient of the sum
itself.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from lightning_tune.norm.reference.statistics import following, mean_over, moments, scaled, widened


def layer_norm(
    input: Tensor, normalized_shape: Sequence[int], weight: Tensor | None, bias: Tensor | None, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Normalise each row by its mean and deviation.

    Args:
        input: (*, *normalized_shape), any floating type.
        normalized_shape: the last dimensions, which are one row.
        weight: (*normalized_shape), or None for 1.
        bias: (*normalized_shape), or None for 0.
        eps: added to the variance.

    Returns:
        (output, mean, rstd): the output in shape and type of the input; the statistics of each row in the
        shape of the dimensions before, float32 (float64 for float64).

    Example:
        >>> output, mean, rstd = layer_norm(torch.tensor([[1.0, 3.0], [2.0, 10.0]]), (2,), None, None, 0.0)
        >>> output.tolist(), mean.tolist(), rstd.tolist()
        ([[-1.0, 1.0], [-1.0, 1.0]], [2.0, 6.0], [1.0, 0.25])
    """
    wide, dims = widened(input), tuple(range(-len(normalized_shape), 0))
    mean, variance = moments(wide, dims)
    rstd = torch.rsqrt(variance + eps)
    output = scaled((wide - mean) * rstd, weight, bias)
    return output.to(input.dtype), mean.squeeze(dims), rstd.squeeze(dims)


def layer_norm_backward(
    grad_output: Tensor, input: Tensor, mean: Tensor, rstd: Tensor, weight: Tensor | None
) -> tuple[Tensor, Tensor | None, Tensor]:
    """Return the gradients of a layer norm; the row's shape is what `input` has beyond `mean`.

    The result may be differentiated by `grad_output`, `input` and `weight`: in there the statistics follow
    the input.

    Args:
        grad_output: the gradient of the output, in its shape.
        input: what was normalised.
        mean: as the forward pass returned it.
        rstd: as the forward pass returned it.
        weight: as the forward pass got it.

    Returns:
        (grad_input, grad_weight, grad_bias); without a weight its gradient is None. Each in the type of what
        it is the gradient of, that of the bias in the weight's (without a weight, the input's).

    Example:
        >>> x = torch.tensor([[1.0, 3.0, 5.0]])
        >>> _, mean, rstd = layer_norm(x, (3,), None, None, 0.0)
        >>> grad_input, _, grad_bias = layer_norm_backward(torch.ones(1, 3), x, mean, rstd, None)
        >>> grad_input.tolist(), grad_bias.tolist()     # the output of any row sums to 0
        ([[0.0, 0.0, 0.0]], [1.0, 1.0, 1.0])
    """
    wide, dims = widened(input), tuple(range(mean.ndim - input.ndim, 0))
    row = input.shape[mean.ndim :]
    ones = (1,) * len(row)
    mean, rstd = following(wide, mean.reshape(mean.shape + ones), rstd.reshape(rstd.shape + ones), dims)
    normalised, grad = (wide - mean) * rstd, widened(grad_output)
    weighted = scaled(grad, weight, None)
    grad_input = rstd * (
        weighted - mean_over(weighted, dims) - normalised * mean_over(weighted * normalised, dims)
    )
    like = input if weight is None else weight
    return (
        grad_input.to(input.dtype),
        None if weight is None else sum_of_rows(grad * normalised, row).to(weight.dtype),
        sum_of_rows(grad, row).to(like.dtype),
    )


def layer_norm_recovered(output: Tensor, rstd: Tensor, weight: Tensor | None, bias: Tensor | None) -> Tensor:
    """Return the rows less their mean, found from the output in place of the input that was not kept.

    To `layer_norm_backward` an input and its shift are the same: given these rows with a mean of 0 it returns
    the gradients of the input, the derivatives of the gradients too, where these rows stand for the input. A
    column of weight 0 leaves no trace in the output and counts as at the mean; its weight then gets a
    gradient of 0 and stays 0.

    Args:
        output: (*, *normalized_shape), as the forward pass returned it.
        rstd: as the forward pass returned it.
        weight: as the forward pass got it.
        bias: as the forward pass got it.

    Returns:
        (*, *normalized_shape), float32 (float64 for float64).

    Example:
        >>> weight = torch.tensor([2.0, 0.0])
        >>> output, mean, rstd = layer_norm(torch.tensor([[1.0, 3.0]]), (2,), weight, None, 0.0)
        >>> layer_norm_recovered(output, rstd, weight, None).tolist()
        [[-1.0, 0.0]]
    """
    normalised = widened(output)
    if bias is not None:
        normalised = normalised - bias
    if weight is not None:
        at_mean = weight == 0
        normalised = torch.where(at_mean, 0.0, normalised / torch.where(at_mean, 1.0, weight))
    return normalised / rstd.reshape(rstd.shape + (1,) * (output.ndim - rstd.ndim))


def sum_of_rows(tensor: Tensor, row: torch.Size) -> Tensor:
    """Return the sum over all dimensions before those of a row."""
    rows = math.prod(tensor.shape[: tensor.ndim - len(row)])
    return tensor.reshape(rows, *row).sum(0)
