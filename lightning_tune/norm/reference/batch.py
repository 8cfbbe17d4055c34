"""Batch norm: each channel by its mean and deviation over the batch.

Ioffe and Szegedy 2015, https://arxiv.org/abs/1502.03167. Of the input (samples, channels, *positions) a
channel's m elements are those of all samples and positions. In training, with the biased variance (their
algorithm 1),

    mean = sum(x) / m        var = sum((x - mean)²) / m        rstd = 1 / sqrt(var + eps)
    h    = (x - mean) · rstd        y = weight · h + bias
    dL/dx = weight · rstd · (dL/dy - sum(dL/dy) / m - h · sum(dL/dy · h) / m)
    dL/dweight = sum(dL/dy · h)        dL/dbias = sum(dL/dy)

In evaluation mean and var are constants, and dL/dx = weight · rstd · dL/dy. Where a batch is spread over
ranks, the two sums of the backward pass are over all of them, and the statistics of the parts are merged by
the formula of Chan, Golub and LeVeque 1979, "Updating Formulae and a Pairwise Algorithm for Computing Sample
Variances".
"""

import torch
from torch import Tensor

from lightning_tune.norm.reference.group import by_channel, scaled_by_channel
from lightning_tune.norm.reference.statistics import following, moments, widened


def batch_norm_statistics(input: Tensor) -> tuple[Tensor, Tensor, int]:
    """Return what a channel's elements are like.

    Args:
        input: (samples, channels, *positions), any floating type.

    Returns:
        (mean, biased variance, number of elements of one channel): two of (channels,), float32 (float64 for
        float64), both 0 if there are no elements; their sum of squared deviations (M2) is variance times
        number.

    Example:
        >>> mean, variance, count = batch_norm_statistics(torch.tensor([[1.0, 2.0], [3.0, 10.0]]))
        >>> mean.tolist(), variance.tolist(), count
        ([2.0, 6.0], [1.0, 16.0], 2)
    """
    mean, variance = moments(widened(input), _others(input))
    return mean.flatten(), variance.flatten(), _count(input)


def batch_norm(
    input: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Normalise each channel by its mean and deviation over the batch, as in training.

    Args:
        input: (samples, channels, *positions), any floating type.
        weight: (channels,), or None for 1.
        bias: (channels,), or None for 0.
        eps: added to the variance.

    Returns:
        (output, mean, biased variance, rstd): the output in shape and type of the input; the statistics are
        (channels,), float32 (float64 for float64).

    Example:
        >>> output, mean, var, rstd = batch_norm(torch.tensor([[1.0, 2.0], [3.0, 10.0]]), None, None, 0.0)
        >>> output.tolist(), rstd.tolist()
        ([[-1.0, -1.0], [1.0, 1.0]], [1.0, 0.25])
    """
    mean, variance, _ = batch_norm_statistics(input)
    rstd = torch.rsqrt(variance + eps)
    return _normalised(input, mean, rstd, weight, bias), mean, variance, rstd


def batch_norm_eval(
    input: Tensor, mean: Tensor, var: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float
) -> Tensor:
    """Normalise each channel by a given mean and variance, as in evaluation.

    Args:
        input: (samples, channels, *positions), any floating type.
        mean: (channels,).
        var: (channels,).
        weight: (channels,), or None for 1.
        bias: (channels,), or None for 0.
        eps: added to the variance.

    Returns:
        In shape and type of the input.

    Example:
        >>> mean, var = torch.tensor([1.0]), torch.tensor([4.0])
        >>> batch_norm_eval(torch.tensor([[3.0]]), mean, var, None, None, 0.0).item()
        1.0
    """
    return _normalised(input, widened(mean), torch.rsqrt(widened(var) + eps), weight, bias)


def batch_norm_backward(
    grad_output: Tensor,
    input: Tensor,
    mean: Tensor,
    rstd: Tensor,
    weight: Tensor | None,
    *,
    training: bool,
) -> tuple[Tensor, Tensor | None, Tensor]:
    """Return the gradients of a batch norm.

    The result may be differentiated by `grad_output`, `input` and `weight`: in there the statistics follow
    the input in training, and are constants in evaluation.

    Args:
        grad_output: the gradient of the output, in its shape.
        input: what was normalised.
        mean: (channels,), what it was normalised by.
        rstd: (channels,), what it was normalised by.
        weight: as the forward pass got it.
        training: whether mean and rstd are those of this input.

    Returns:
        (grad_input, grad_weight, grad_bias); without a weight its gradient is None. Each in the type of what
        it is the gradient of, that of the bias in the weight's (without a weight, the input's).

    Example:
        >>> x, ones = torch.tensor([[1.0], [3.0]]), torch.ones(2, 1)
        >>> _, mean, _, rstd = batch_norm(x, None, None, 0.0)
        >>> batch_norm_backward(ones, x, mean, rstd, None, training=True)[0].flatten().tolist()
        [0.0, 0.0]
        >>> batch_norm_backward(ones, x, mean, rstd, None, training=False)[0].flatten().tolist()
        [1.0, 1.0]
    """
    if training:
        wide, shape = widened(input), (1, -1, *(1 for _ in input.shape[2:]))
        mean, rstd = following(wide, mean.reshape(shape), rstd.reshape(shape), _others(input))
        mean, rstd = mean.flatten(), rstd.flatten()
    grad_sum, grad_dot = batch_norm_backward_sums(grad_output, input, mean, rstd)
    if training:
        count = _count(input)
        grad_input = batch_norm_backward_input(
            grad_output, input, mean, rstd, weight, grad_sum, grad_dot, count
        )
    else:
        grad_input = widened(grad_output) * by_channel(rstd if weight is None else weight * rstd, input)
    like = input if weight is None else weight
    return (
        grad_input.to(input.dtype),
        None if weight is None else grad_dot.to(weight.dtype),
        grad_sum.to(like.dtype),
    )


def batch_norm_backward_sums(
    grad_output: Tensor, input: Tensor, mean: Tensor, rstd: Tensor
) -> tuple[Tensor, Tensor]:
    """Return sum(dL/dy) and sum(dL/dy · h) of each channel, (channels,): the gradients of bias and weight.

    Of a batch that is spread over ranks each rank has its own; the gradient of the input takes the sums over
    all.

    Example:
        >>> x = torch.tensor([[1.0], [3.0]])
        >>> sums = batch_norm_backward_sums(x, x, torch.tensor([2.0]), torch.tensor([1.0]))
        >>> [value.item() for value in sums]     # 1 + 3 and 1 · -1 + 3 · 1
        [4.0, 2.0]
    """
    grad = widened(grad_output)
    normalised = (widened(input) - by_channel(mean, input)) * by_channel(rstd, input)
    return grad.sum(_others(input)), (grad * normalised).sum(_others(input))


def batch_norm_backward_input(
    grad_output: Tensor,
    input: Tensor,
    mean: Tensor,
    rstd: Tensor,
    weight: Tensor | None,
    grad_sum: Tensor,
    grad_dot: Tensor,
    count: int | Tensor,
) -> Tensor:
    """Return the gradient of the input in training, in its type.

    Args:
        grad_output: the gradient of the output, in its shape.
        input: what was normalised; of several ranks, this rank's part.
        mean: (channels,), of all parts.
        rstd: (channels,), of all parts.
        weight: (channels,), or None for 1.
        grad_sum: (channels,), sum(dL/dy) over all parts.
        grad_dot: (channels,), sum(dL/dy · h) over all parts.
        count: the number of elements of one channel in all parts.

    Example:
        >>> x = torch.tensor([[1.0], [3.0]])
        >>> mean, rstd, count = torch.tensor([2.0]), torch.tensor([1.0]), 2
        >>> sums = batch_norm_backward_sums(x, x, mean, rstd)
        >>> batch_norm_backward_input(x, x, mean, rstd, None, *sums, count).flatten().tolist()
        [0.0, 0.0]
    """
    count = count.clamp(min=1) if isinstance(count, Tensor) else max(1, count)
    normalised = (widened(input) - by_channel(mean, input)) * by_channel(rstd, input)
    grad = (
        widened(grad_output)
        - by_channel(grad_sum / count, input)
        - normalised * by_channel(grad_dot / count, input)
    )
    return (grad * by_channel(rstd if weight is None else weight * rstd, input)).to(input.dtype)


def merge(counts: Tensor, means: Tensor, m2s: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return count, mean and sum of squared deviations (M2) of parts that are joined.

    Args:
        counts: (parts,), the elements of a channel; a part may have none.
        means: (parts, channels).
        m2s: (parts, channels), a part's sum of squared deviations from its own mean.

    Returns:
        (count, mean, M2): a scalar and two of (channels,), in the means' type. The biased variance is M2 /
        count.

    Example:
        >>> means, m2s = torch.tensor([[2.0], [8.0]]), torch.tensor([[2.0], [0.0]])     # of 1, 3 and of 8
        >>> [value.item() for value in merge(torch.tensor([2, 1]), means, m2s)]
        [3.0, 4.0, 26.0]
    """
    parts = counts.to(means.dtype).unsqueeze(-1)
    count = parts.sum()
    mean = (parts / count.clamp(min=1) * means).sum(0)
    return count, mean, (m2s + parts * (means - mean).square()).sum(0)


def _normalised(
    input: Tensor, mean: Tensor, rstd: Tensor, weight: Tensor | None, bias: Tensor | None
) -> Tensor:
    normalised = (widened(input) - by_channel(mean, input)) * by_channel(rstd, input)
    return scaled_by_channel(normalised, weight, bias).to(input.dtype)


def _others(input: Tensor) -> tuple[int, ...]:
    """Return all dimensions but the channels'."""
    return (0, *range(2, input.ndim))


def _count(input: Tensor) -> int:
    return input.shape[0] * input.shape[2:].numel()
