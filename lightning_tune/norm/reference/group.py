"""Group norm: the channels of a sample in groups, each by its own mean and deviation.

Wu and He 2018, https://arxiv.org/abs/1803.08494. The C channels of a sample fall into G groups of C/G
neighbours. The formulas are layer norm's with a group, all its C/G channels and positions, as the row; weight
and bias belong to a channel:

    h = (x - mean) · rstd        y = weight[channel] · h + bias[channel]        (their eq. 1 to 7)
    dL/dx = rstd · (g - mean(g) - h · mean(g · h)),    g = dL/dy · weight, means over the group
    dL/dweight, dL/dbias = sums over samples and positions of dL/dy · h, dL/dy
"""

import torch
from torch import Tensor

from lightning_tune.norm.reference.statistics import following, mean_over, moments, widened


def group_norm(
    input: Tensor, num_groups: int, weight: Tensor | None, bias: Tensor | None, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Normalise each group of channels of each sample by its mean and deviation.

    Args:
        input: (samples, channels, *positions), any floating type.
        num_groups: a divisor of the channels.
        weight: (channels,), or None for 1.
        bias: (channels,), or None for 0.
        eps: added to the variance.

    Returns:
        (output, mean, rstd): the output in shape and type of the input; the statistics are (samples,
        num_groups), float32 (float64 for float64).

    Example:
        >>> x = torch.tensor([[1.0, 3.0, 2.0, 10.0]])
        >>> output, mean, rstd = group_norm(x, 2, None, None, 0.0)
        >>> output.tolist(), mean.tolist(), rstd.tolist()
        ([[-1.0, 1.0, -1.0, 1.0]], [[2.0, 6.0]], [[1.0, 0.25]])
    """
    wide = grouped(widened(input), num_groups)
    dims = tuple(range(2, wide.ndim))
    mean, variance = moments(wide, dims)
    rstd = torch.rsqrt(variance + eps)
    output = scaled_by_channel(((wide - mean) * rstd).flatten(1, 2), weight, bias)
    return output.to(input.dtype), mean.squeeze(dims), rstd.squeeze(dims)


def group_norm_backward(
    grad_output: Tensor, input: Tensor, mean: Tensor, rstd: Tensor, weight: Tensor | None, num_groups: int
) -> tuple[Tensor, Tensor | None, Tensor]:
    """Return the gradients of a group norm.

    The result may be differentiated by `grad_output`, `input` and `weight`: in there the statistics follow
    the input.

    Args:
        grad_output: the gradient of the output, in its shape.
        input: what was normalised.
        mean: as the forward pass returned it.
        rstd: as the forward pass returned it.
        weight: as the forward pass got it.
        num_groups: as the forward pass got it.

    Returns:
        (grad_input, grad_weight, grad_bias); without a weight its gradient is None. Each in the type of what
        it is the gradient of, that of the bias in the weight's (without a weight, the input's).

    Example:
        >>> x = torch.tensor([[1.0, 3.0, 2.0, 10.0]])
        >>> _, mean, rstd = group_norm(x, 2, None, None, 0.0)
        >>> grad_input, _, grad_bias = group_norm_backward(torch.ones(1, 4), x, mean, rstd, None, 2)
        >>> grad_input.tolist(), grad_bias.tolist()
        ([[0.0, 0.0, 0.0, 0.0]], [1.0, 1.0, 1.0, 1.0])
    """
    wide = grouped(widened(input), num_groups)
    dims = tuple(range(2, wide.ndim))
    shape = (*mean.shape, *(1 for _ in dims))
    mean, rstd = following(wide, mean.reshape(shape), rstd.reshape(shape), dims)
    normalised, grad = (wide - mean) * rstd, widened(grad_output)
    weighted = grouped(scaled_by_channel(grad, weight, None), num_groups)
    grad_input = rstd * (
        weighted - mean_over(weighted, dims) - normalised * mean_over(weighted * normalised, dims)
    )
    others = (0, *range(2, input.ndim))
    like = input if weight is None else weight
    return (
        grad_input.flatten(1, 2).to(input.dtype),
        None if weight is None else (grad * normalised.flatten(1, 2)).sum(others).to(weight.dtype),
        grad.sum(others).to(like.dtype),
    )


def grouped(tensor: Tensor, num_groups: int) -> Tensor:
    """Return (samples, channels, *positions) as (samples, groups, channels a group, *positions), a view."""
    samples, channels, *positions = tensor.shape
    return tensor.reshape(samples, num_groups, channels // num_groups, *positions)


def by_channel(values: Tensor, input: Tensor) -> Tensor:
    """Return (channels,) as (channels, 1, ...), which broadcasts along (samples, channels, *positions)."""
    return values.reshape(-1, *(1 for _ in input.shape[2:]))


def scaled_by_channel(normalised: Tensor, weight: Tensor | None, bias: Tensor | None) -> Tensor:
    """Return normalised * weight + bias for (channels,) of either, or none."""
    if weight is not None:
        normalised = normalised * by_channel(weight, normalised)
    return normalised if bias is None else normalised + by_channel(bias, normalised)
