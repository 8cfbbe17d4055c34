"""What the references of all families share: the type that is computed in, and mean and variance.

Statistics and sums are float32 whatever the input is stored in, float64 for float64: the square of a float16
overflows from 256 on, and a sum in bfloat16 no longer grows by 1 once it is 256.
"""

import math

import torch
from torch import Tensor


def widened(tensor: Tensor) -> Tensor:
    """Return a tensor in the type that is computed in: float64 as it is, anything narrower as float32."""
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))


def mean_over(wide: Tensor, dims: tuple[int, ...]) -> Tensor:
    """Return the mean over some dimensions, which stay with size 1; the mean of nothing is 0."""
    return wide.sum(dims, keepdim=True) / max(1, math.prod([wide.shape[dim] for dim in dims]))


def moments(wide: Tensor, dims: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Return mean and biased variance over some dimensions, which stay with size 1.

    In two passes: the variance is the mean square of the deviations from the mean. (The mean square less the
    square of the mean has lost all digits of a variance of 1 at a mean of 1e4.)
    """
    mean = mean_over(wide, dims)
    return mean, mean_over((wide - mean).square(), dims)


def following(wide: Tensor, mean: Tensor, rstd: Tensor, dims: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Return the same mean and rstd as functions of the input whose statistics they are.

    A backward pass gets the statistics that the forward pass saved, values without a history. Its own
    derivative by the input goes through them, too: here they are computed anew, with the eps that is in
    `rstd`. Does nothing where no derivative is asked for.
    """
    if not torch.is_grad_enabled():
        return mean, rstd
    new_mean, variance = moments(wide, dims)
    eps = rstd.detach().pow(-2) - variance.detach()
    return mean.detach() + (new_mean - new_mean.detach()), torch.rsqrt(variance + eps)


def scaled(normalised: Tensor, weight: Tensor | None, bias: Tensor | None) -> Tensor:
    """Return normalised * weight + bias, either of which may be missing; they broadcast from the right."""
    if weight is not None:
        normalised = normalised * weight
    return normalised if bias is None else normalised + bias
