"""Batch norm as the textbook writes it: one function, which also returns the moving statistics.

Zhang, Lipton, Li and Smola, "Dive into Deep Learning", section 8.5, https://d2l.ai. Two of its habits are not
torch's. Its momentum is the share of the old value, torch's that of the new one: `momentum` there is
`1 - momentum` in torch.nn. And its moving variance is fed with the biased variance, torch's with the unbiased
one, which is n / (n - 1) times as large for n elements a channel.
"""

import torch
from torch import Tensor

from lightning_tune.errors import ArgumentError
from lightning_tune.norm.reference.statistics import moments, widened


def textbook_batch_norm(
    X: Tensor,
    gamma: Tensor,
    beta: Tensor,
    moving_mean: Tensor,
    moving_var: Tensor,
    eps: float,
    momentum: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """Normalise a batch; while gradients are off, in prediction mode, by the moving statistics.

    Args:
        X: (samples, features), or (samples, channels, height, width).
        gamma: the scale, one value a feature or channel: (channels,), or any shape that broadcasts to X.
        beta: the shift, as gamma.
        moving_mean: as gamma.
        moving_var: as gamma.
        eps: added to the variance, at least 0.
        momentum: share of the old moving statistics in the new ones, 0 to 1: `momentum · old + (1 - momentum)
            · new`. In torch.nn that is `1 - momentum`.

    Returns:
        (Y, moving_mean, moving_var): Y in shape and type of X, the moving statistics in their own, as new
        tensors without a gradient. They are those that came in where nothing moves them: in
        prediction mode, or by an empty batch.

    Raises:
        ArgumentError: for an X of other dimensions, values of another number than X has features or channels,
            a negative eps, a momentum outside 0 to 1.

    Example:
        >>> zeros, ones = torch.zeros(1), torch.ones(1)
        >>> Y, moving_mean, moving_var = textbook_batch_norm(
        ...     torch.tensor([[0.0], [4.0]]), ones, zeros, zeros, ones, eps=0.0, momentum=0.75
        ... )
        >>> Y.flatten().tolist(), moving_mean.tolist(), moving_var.tolist()
        ([-1.0, 1.0], [0.5], [1.75])
    """
    if X.ndim not in (2, 4):
        raise ArgumentError(
            f"`X` must have 2 dimensions (samples, features) or 4 (samples, channels, height, width), got "
            f"{X.ndim}: {tuple(X.shape)}."
        )
    if not eps >= 0:
        raise ArgumentError(f"`eps` must be at least 0, got {eps}.")
    if not 0 <= momentum <= 1:
        raise ArgumentError(
            f"`momentum`, the share of the old moving statistics, must be 0 to 1, got {momentum}."
        )
    scale, shift = _by_channel("gamma", gamma, X), _by_channel("beta", beta, X)
    mean, var = _by_channel("moving_mean", moving_mean, X), _by_channel("moving_var", moving_var, X)
    wide = widened(X)
    if torch.is_grad_enabled() and X.numel() > 0:
        old_mean, old_var = mean, var
        mean, var = moments(wide, (0,) if X.ndim == 2 else (0, 2, 3))
        moving_mean = _moved(moving_mean, old_mean, mean, momentum)
        moving_var = _moved(moving_var, old_var, var, momentum)
    X_hat = (wide - mean) / torch.sqrt(var + eps)
    return (scale * X_hat + shift).to(X.dtype), moving_mean, moving_var


def _by_channel(name: str, values: Tensor, X: Tensor) -> Tensor:
    """Return one value a channel in a shape that broadcasts to X, in the type that is computed in."""
    if values.numel() != X.shape[1] or max(values.shape, default=1) != values.numel():
        raise ArgumentError(
            f"`{name}` must hold one value for each of the {X.shape[1]} features or channels of `X` "
            f"{tuple(X.shape)}, got {tuple(values.shape)}."
        )
    return widened(values).reshape(1, -1, *(1 for _ in X.shape[2:]))


def _moved(like: Tensor, old: Tensor, new: Tensor, momentum: float) -> Tensor:
    """Return the new moving average in shape and type of the tensor that came in."""
    return (momentum * old + (1 - momentum) * new).detach().reshape(like.shape).to(like.dtype)
