"""Batch norm with the activation after it, over tensors (N, C, *spatial) of any strides.

Plain functions from tensors to tensors, without autograd. Contiguous and channels-last tensors are read as
they lie; outputs are dense, in the input's order of strides. Weight and bias are (C,) or None; statistics are
float32. Running statistics are the caller's.
"""

from torch import Tensor

from lightning_tune.norm.kernels import channel_gradient_kernels, channel_kernels
from lightning_tune.norm.kernels.geometry import View
from lightning_tune.norm.kernels.launch import launch
from lightning_tune.norm.kernels.tile_launch import Shared, dense, flags, float32, gradient_type, pointers
from lightning_tune.norm.kernels.tile_specifications import channel_specifications as specifications

__all__ = ["ACTIVATIONS", "batch_norm_backward", "batch_norm_eval", "batch_norm_forward", "specifications"]

ACTIVATIONS = ("none", "relu", "silu", "gelu")
"""The kernels know an activation by its place."""


def batch_norm_forward(
    x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float, activation: str
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return (y, mean, biased variance, rstd) of training; the statistics are (C,)."""
    view, weight, bias, number = View(x), dense(weight), dense(bias), ACTIVATIONS.index(activation)
    whole = view.whole()
    if whole is None:
        shared = Shared(view)
        mean, var, rstd = shared.moments(eps)
        return shared.normalise(mean, rstd, weight, bias, number), mean, var, rstd
    y, y_strides = view.empty()
    channels = view.sizes.channels
    mean, var, rstd = float32(x, channels), float32(x, channels), float32(x, channels)
    tensors = (view.tensor, *pointers(x, weight, bias), y, mean, var, rstd)
    where = (*view.sizes[1:], *view.strides[1:], *y_strides[1:])
    constants = flags(weight, bias, number) | whole.constants()
    launch(channel_kernels.whole_channels, (whole.blocks,), *tensors, *where, eps, **constants)
    return y, mean, var, rstd


def batch_norm_eval(
    x: Tensor, mean: Tensor, rstd: Tensor, weight: Tensor | None, bias: Tensor | None, activation: str
) -> Tensor:
    """Return y for statistics that are given."""
    statistics = (mean.contiguous(), rstd.contiguous())
    return Shared(View(x)).normalise(*statistics, dense(weight), dense(bias), ACTIVATIONS.index(activation))


def batch_norm_backward(
    grad_y: Tensor,
    x: Tensor,
    mean: Tensor,
    rstd: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    activation: str,
    training: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the gradients of x, weight and bias, the last two whether or not they are there.

    Args:
        grad_y: the gradient of the output, (N, C, *spatial).
        x: what was normalised.
        mean: (C,), as the forward pass returned or was given it.
        rstd: (C,), likewise.
        weight: (C,) or None.
        bias: (C,) or None; the activation's input is computed from it again.
        activation: one of `ACTIVATIONS`.
        training: whether mean and rstd are x's own; if not, they are constants.
    """
    view, weight, bias = View(x), dense(weight), dense(bias)
    grad, grad_strides = view.like(grad_y)
    grad_x, out_strides = view.empty()
    given = (grad, view.tensor, mean.contiguous(), rstd.contiguous(), *pointers(x, weight, bias))
    strides = (grad_strides, view.strides, out_strides)
    known = flags(weight, bias, ACTIVATIONS.index(activation))
    types = gradient_type(x, weight, bias), gradient_type(x, bias, weight)
    whole = view.whole(tensors=2) if training else None
    if whole is not None:
        sums = x.new_empty(x.shape[1], dtype=types[0]), x.new_empty(x.shape[1], dtype=types[1])
        where = (*view.sizes[1:], *(stride for each in strides for stride in each[1:]))
        kernel, constants = channel_gradient_kernels.whole_channel_gradients, known | whole.constants()
        launch(kernel, (whole.blocks,), *given, grad_x, *sums, *where, **constants)
        return grad_x, *sums
    shared = Shared(view, tensors=2)
    sums = shared.sums(given, grad_x, strides, WRITE=not training, **known)
    if training:
        shared.gradient(given, sums, grad_x, strides, SUMS_ARE_WEIGHTED=False, **known)
    return grad_x, sums[0].to(types[0]), sums[1].to(types[1])
