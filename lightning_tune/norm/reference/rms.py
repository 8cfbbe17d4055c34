"""RMS norm: each row by its root mean square.

Zhang and Sennrich 2019, https://arxiv.org/abs/1910.07467. Layer norm without the mean. A row holds the last
dimensions of the input, n elements in all. For a row x

    rstd = 1 / sqrt(sum(x²) / n + eps)        h = x · rstd        y = weight · h        (their eq. 4)

With g = dL/dy · weight

    dL/dx = rstd · (g - h · mean(g · h))        dL/dweight = sum over rows of dL/dy · h

A residual that is added before needs nothing more: both summands get dL/dx plus the gradient of the sum
itself.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from lightning_tune.norm.reference.layer import layer_norm_recovered, sum_of_rows
from lightning_tune.norm.reference.statistics import mean_over, scaled, widened


def rms_norm(
    input: Tensor, normalized_shape: Sequence[int], weight: Tensor | None, eps: float | None
) -> tuple[Tensor, Tensor]:
    """Divide each row by its root mean square.

    Args:
        input: (*, *normalized_shape), any floating type.
        normalized_shape: the last dimensions, which are one row.
        weight: (*normalized_shape), or None for 1.
        eps: added to the mean square. None is the machine epsilon of the type that is computed in, as in
            torch: 2^-23 for bfloat16 and float16, too.

    Returns:
        (output, rstd): the output in shape and type of the input; one rstd a row in the shape of the
        dimensions before, float32 (float64 for float64).

    Example:
        >>> output, rstd = rms_norm(torch.tensor([[1.0, 7.0]]), (2,), None, 0.0)
        >>> [round(value, 4) for value in output[0].tolist()], round(rstd.item(), 4)
        ([0.2, 1.4], 0.2)
    """
    wide, dims = widened(input), tuple(range(-len(normalized_shape), 0))
    if eps is None:
        eps = torch.finfo(wide.dtype).eps
    rstd = torch.rsqrt(mean_over(wide.square(), dims) + eps)
    return scaled(wide * rstd, weight, None).to(input.dtype), rstd.squeeze(dims)


def rms_norm_backward(
    grad_output: Tensor, input: Tensor, rstd: Tensor, weight: Tensor | None
) -> tuple[Tensor, Tensor | None]:
    """Return the gradients of an RMS norm; the row's shape is what `input` has beyond `rstd`.

    The result may be differentiated by `grad_output`, `input` and `weight`: in there rstd follows the input.

    Args:
        grad_output: the gradient of the output, in its shape.
        input: what was normalised.
        rstd: as the forward pass returned it.
        weight: as the forward pass got it.

    Returns:
        (grad_input, grad_weight), each in the type of what it is the gradient of; without a weight its
        gradient is None.

    Example:
        >>> x = torch.tensor([[3.0, 4.0]])
        >>> _, rstd = rms_norm(x, (2,), None, 0.0)
        >>> grad_input, _ = rms_norm_backward(x, x, rstd, None)
        >>> grad_input.abs().max().item() < 1e-6     # the length of the row has no influence
        True
    """
    wide, dims = widened(input), tuple(range(rstd.ndim - input.ndim, 0))
    rstd = _following(wide, rstd.reshape(rstd.shape + (1,) * len(dims)), dims)
    normalised, grad = wide * rstd, widened(grad_output)
    weighted = scaled(grad, weight, None)
    grad_input = rstd * (weighted - normalised * mean_over(weighted * normalised, dims))
    if weight is None:
        return grad_input.to(input.dtype), None
    return grad_input.to(input.dtype), sum_of_rows(grad * normalised, weight.shape).to(weight.dtype)


def rms_norm_recovered(output: Tensor, rstd: Tensor, weight: Tensor | None) -> Tensor:
    """Return the rows, found from the output in place of the input that was not kept.

    `rms_norm_backward` takes them for the input. A column of weight 0 leaves no trace in the output and
    counts as 0; its weight then gets a gradient of 0 and stays 0.

    Args:
        output: (*, *normalized_shape), as the forward pass returned it.
        rstd: as the forward pass returned it.
        weight: as the forward pass got it.

    Returns:
        (*, *normalized_shape), float32 (float64 for float64).

    Example:
        >>> weight = torch.tensor([2.0, 0.0])
        >>> output, rstd = rms_norm(torch.tensor([[1.0, 7.0]]), (2,), weight, 0.0)
        >>> rms_norm_recovered(output, rstd, weight).tolist()
        [[1.0, 0.0]]
    """
    return layer_norm_recovered(output, rstd, weight, None)


def _following(wide: Tensor, rstd: Tensor, dims: tuple[int, ...]) -> Tensor:
    """Return the same rstd as a function of the input (see `statistics.following`)."""
    if not torch.is_grad_enabled():
        return rstd
    mean_square = mean_over(wide.square(), dims)
    return torch.rsqrt(mean_square + (rstd.detach().pow(-2) - mean_square.detach()))
