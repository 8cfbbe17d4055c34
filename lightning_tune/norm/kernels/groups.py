"""Group norm over tensors (N, C, *spatial) of any strides.

Plain functions from tensors to tensors, without autograd. Contiguous and channels-last tensors are read as
they lie; outputs are dense, in the input's order of strides. Weight and bias are (C,) or None; statistics are
(N, groups) in float32.
"""

import torch
from torch import Tensor

from lightning_tune.norm.kernels import group_kernels
from lightning_tune.norm.kernels.geometry import View
from lightning_tune.norm.kernels.launch import launch
from lightning_tune.norm.kernels.tile_launch import Shared, added_parts, dense, flags, float32, pointers
from lightning_tune.norm.kernels.tile_specifications import group_specifications as specifications

__all__ = ["group_norm_backward", "group_norm_forward", "specifications"]

_NO_ACTIVATION = 0


def group_norm_forward(
    x: Tensor,
    num_groups: int,
    weight: Tensor | None,
    bias: Tensor | None,
    eps: float,
    dtype: torch.dtype | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return (y, mean, rstd), the statistics (N, groups); y in `dtype`, by default x's."""
    view, weight, bias = View(x, merge=False), dense(weight), dense(bias)
    shape, width = (x.shape[0], num_groups), x.shape[1] // num_groups
    whole = view.whole_group(width)
    if whole is None:
        shared = Shared(view, width)
        mean, _, rstd = shared.moments(eps)
        y = shared.normalise(mean, rstd, weight, bias, _NO_ACTIVATION, dtype)
        return y, mean.view(shape), rstd.view(shape)
    y, y_strides = view.empty(dtype)
    mean, rstd = float32(x, *shape), float32(x, *shape)
    tensors = (view.tensor, *pointers(x, weight, bias), y, mean, rstd)
    where = (mean.numel(), num_groups, width, view.sizes.positions, *view.strides, *y_strides)
    constants = flags(weight, bias) | whole.constants()
    launch(group_kernels.whole_groups, (whole.blocks,), *tensors, *where, eps, **constants)
    return y, mean, rstd


def group_norm_backward(
    grad_y: Tensor, x: Tensor, mean: Tensor, rstd: Tensor, weight: Tensor | None, num_groups: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the gradients of x, weight and bias, the last two whether or not they are there.

    Args:
        grad_y: the gradient of the output, (N, C, *spatial).
        x: what was normalised.
        mean: (N, groups), as the forward pass returned it.
        rstd: (N, groups), likewise.
        weight: (C,) or None.
        num_groups: a divisor of C.
    """
    view, weight, width = View(x, merge=False), dense(weight), x.shape[1] // num_groups
    grad, grad_strides = view.like(grad_y)
    grad_x, out_strides = view.empty()
    strides = (grad_strides, view.strides, out_strides)
    statistics, shape = (mean.contiguous(), rstd.contiguous()), x.shape[:2]
    whole = view.whole_group(width, tensors=2)
    if whole is None:
        shared = Shared(view, width)
        given = (grad, view.tensor, *statistics, *pointers(x, weight, None))
        known = flags(weight, None, _NO_ACTIVATION)
        sums = shared.sums(given, grad_x, strides, WRITE=False, **known)
        weighted = _weighted(sums[0], weight, width), _weighted(sums[1], weight, width)
        shared.gradient(given, weighted, grad_x, strides, SUMS_ARE_WEIGHTED=True, **known)
    else:
        sums = float32(x, *shape), float32(x, *shape)
        tensors = (grad, view.tensor, *statistics, pointers(x, weight, None)[0], grad_x, *sums)
        sizes = (mean.numel(), num_groups, width, view.sizes.positions)
        where = (*sizes, *(stride for each in strides for stride in each))
        constants = {"HAS_WEIGHT": weight is not None, **whole.constants()}
        launch(group_kernels.whole_group_gradients, (whole.blocks,), *tensors, *where, **constants)
    grad_weight, grad_bias = added_parts(sums[0].view(shape), sums[1].view(shape))
    dtype = x.dtype if weight is None else weight.dtype
    return grad_x, grad_weight.to(dtype), grad_bias.to(dtype)


def _weighted(sums: Tensor, weight: Tensor | None, width: int) -> Tensor:
    """Return the groups' sums from those of each sample's channels, times their weights."""
    if weight is not None:
        sums = (sums.view(-1, weight.shape[0]) * weight).flatten()
    return sums.view(-1, width).sum(1)
