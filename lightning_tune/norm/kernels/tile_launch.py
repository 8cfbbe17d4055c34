"""Launches that batch norm and group norm share: of kernels in which programs share a statistic."""

from typing import Any

import torch
from torch import Tensor

from lightning_tune.norm.kernels import channel_gradient_kernels, channel_kernels
from lightning_tune.norm.kernels.geometry import Cut, Strides, View, ceil_divide
from lightning_tune.norm.kernels.launch import launch
from lightning_tune.norm.kernels.row_kernels import add_parts

MERGE = {"PARTS": 32, "ROWS": 32, "num_warps": 4}
_ADD = {"PARTS": 64, "COLUMNS": 32, "num_warps": 4}


class Shared:
    """A tensor whose statistics belong to a channel of the batch, or to `width` channels of a sample.

    A row is what is summed up by itself before statistics are made of it: a channel, or one of a sample.
    """

    def __init__(self, view: View, width: int | None = None, *, tensors: int = 1) -> None:
        """Cut the tensor into tiles.

        Args:
            view: the tensor.
            width: how many channels of a sample share a statistic; None is one channel of all samples.
            tensors: how many tiles a program holds at once.
        """
        self.view, self.width = view, 1 if width is None else width
        self.cut: Cut = view.cut(samples_apart=width is not None, tensors=tensors)
        sizes = view.sizes if width is None else view.sizes._replace(outer=1)
        self.sizes = (self.width, *sizes)
        self.rows = view.sizes.channels * (1 if width is None else view.sizes.outer)
        self._grid = (self.cut.blocks, self.cut.parts)

    def moments(self, eps: float) -> tuple[Tensor, Tensor, Tensor]:
        """Return mean, biased variance and rstd, one a statistic."""
        x, statistics = self.view.tensor, self.rows // self.width
        moments = float32(x, 3 * self.cut.parts + 1, self.rows)
        where = (*self.sizes, *self.view.strides)
        launch(channel_kernels.channel_moments, self._grid, x, moments, *where, **self.cut.constants())
        mean, var, rstd = float32(x, statistics), float32(x, statistics), float32(x, statistics)
        grid = (ceil_divide(statistics, MERGE["ROWS"]),)
        sizes = (self.cut.parts, statistics, self.width)
        launch(channel_kernels.merge_moments, grid, moments, mean, var, rstd, *sizes, eps, **MERGE)
        return mean, var, rstd

    def normalise(
        self,
        mean: Tensor,
        rstd: Tensor,
        weight: Tensor | None,
        bias: Tensor | None,
        activation: int,
        dtype: torch.dtype | None = None,
    ) -> Tensor:
        """Return y for statistics that are known, in `dtype`, by default x's."""
        x, (y, y_strides) = self.view.tensor, self.view.empty(dtype)
        tensors = (x, mean, rstd, *pointers(x, weight, bias), y)
        where = (*self.sizes, *self.view.strides, *y_strides)
        constants = flags(weight, bias, activation) | self.cut.constants()
        launch(channel_kernels.normalise_channels, self._grid, *tensors, *where, **constants)
        return y

    def sums(
        self, given: tuple[Tensor, ...], grad_x: Tensor, strides: tuple[Strides, ...], **constants: Any
    ) -> tuple[Tensor, Tensor]:
        """Return the rows' sums of g · x̂ and g; with WRITE also write evaluation's grad_x."""
        parts = self.cut.parts
        weight_parts, bias_parts = float32(grad_x, parts, self.rows), float32(grad_x, parts, self.rows)
        tensors = (*given, grad_x, weight_parts, bias_parts)
        where = (*self.sizes, *(stride for each in strides for stride in each))
        kernel, constants = channel_gradient_kernels.channel_sums, constants | self.cut.constants()
        launch(kernel, self._grid, *tensors, *where, **constants)
        return added_parts(weight_parts, bias_parts)

    def gradient(
        self,
        given: tuple[Tensor, ...],
        sums: tuple[Tensor, Tensor],
        grad_x: Tensor,
        strides: tuple[Strides, ...],
        **constants: Any,
    ) -> None:
        """Write training's grad_x from the statistics' sums."""
        where = (*self.sizes, *(stride for each in strides for stride in each))
        kernel, constants = channel_gradient_kernels.channel_gradient, constants | self.cut.constants()
        launch(kernel, self._grid, *given, *sums, grad_x, *where, **constants)


def added_parts(weight_parts: Tensor, bias_parts: Tensor) -> tuple[Tensor, Tensor]:
    """Add up two matrices (parts, rows) over the parts, in order."""
    parts, rows = weight_parts.shape
    results = float32(weight_parts, rows), float32(weight_parts, rows)
    grid = (ceil_divide(rows, _ADD["COLUMNS"]),)
    both = {"HAS_WEIGHT": True, "HAS_BIAS": True}
    launch(add_parts, grid, weight_parts, bias_parts, *results, parts, rows, **both, **_ADD)
    return results


def float32(near: Tensor, *shape: int) -> Tensor:
    """Make room for float32 values on the device of a tensor."""
    return torch.empty(shape, dtype=torch.float32, device=near.device)


def flags(weight: Tensor | None, bias: Tensor | None, activation: int | None = None) -> dict[str, Any]:
    """Say to a kernel which of weight and bias are there, and the number of an activation."""
    there = {"HAS_WEIGHT": weight is not None, "HAS_BIAS": bias is not None}
    return there if activation is None else there | {"ACTIVATION": activation}


def pointers(x: Tensor, weight: Tensor | None, bias: Tensor | None) -> tuple[Tensor, Tensor]:
    """Return weight and bias for a kernel: x, which is then not read through it, stands for an absent one."""
    return x if weight is None else weight, x if bias is None else bias


def dense(vector: Tensor | None) -> Tensor | None:
    """Return a vector whose elements lie side by side."""
    return None if vector is None else vector.contiguous()


def gradient_type(x: Tensor, own: Tensor | None, other: Tensor | None) -> torch.dtype:
    """Give the type of a vector's gradient, which is also returned for one that is absent."""
    return next((vector.dtype for vector in (own, other) if vector is not None), x.dtype)
