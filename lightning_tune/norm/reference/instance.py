"""Instance norm: each channel of each sample by its own mean and deviation over its positions.

Ulyanov, Vedaldi and Lempitsky 2016, https://arxiv.org/abs/1607.08022. It is group norm with one channel a
group, and the formulas are those. Normalised by given statistics instead (running ones, in evaluation) it is
batch norm, `batch_norm_eval` with its backward.
"""

import torch
from torch import Tensor

from lightning_tune.norm.reference.group import group_norm_backward, scaled_by_channel
from lightning_tune.norm.reference.statistics import moments, widened


def instance_norm(
    input: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Normalise each channel of each sample by its mean and deviation.

    Args:
        input: (samples, channels, *positions), any floating type.
        weight: (channels,), or None for 1.
        bias: (channels,), or None for 0.
        eps: added to the variance.

    Returns:
        (output, mean, biased variance, rstd): the output in shape and type of the input; the statistics are
        (samples, channels), float32 (float64 for float64). What running statistics take in is the mean over
        the samples of mean and variance.

    Example:
        >>> x = torch.tensor([[[1.0, 3.0], [2.0, 10.0]]])
        >>> output, mean, var, rstd = instance_norm(x, None, None, 0.0)
        >>> output.tolist(), mean.tolist(), var.tolist()
        ([[[-1.0, 1.0], [-1.0, 1.0]]], [[2.0, 6.0]], [[1.0, 16.0]])
    """
    wide, dims = widened(input), tuple(range(2, input.ndim))
    mean, variance = moments(wide, dims)
    rstd = torch.rsqrt(variance + eps)
    output = scaled_by_channel((wide - mean) * rstd, weight, bias)
    return output.to(input.dtype), mean.squeeze(dims), variance.squeeze(dims), rstd.squeeze(dims)


def instance_norm_backward(
    grad_output: Tensor, input: Tensor, mean: Tensor, rstd: Tensor, weight: Tensor | None
) -> tuple[Tensor, Tensor | None, Tensor]:
    """Return the gradients of an instance norm.

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
        >>> x = torch.tensor([[[1.0, 3.0], [2.0, 10.0]]])
        >>> _, mean, _, rstd = instance_norm(x, None, None, 0.0)
        >>> grad_input, _, grad_bias = instance_norm_backward(torch.ones(1, 2, 2), x, mean, rstd, None)
        >>> grad_input.tolist(), grad_bias.tolist()
        ([[[0.0, 0.0], [0.0, 0.0]]], [2.0, 2.0])
    """
    return group_norm_backward(grad_output, input, mean, rstd, weight, input.shape[1])
