"""The launches of the row kernels for wide rows: parts of rows, their merging, and the output."""

import torch
import triton
from torch import Tensor

from lightning_tune.norm.kernels.launch import launch
from lightning_tune.norm.kernels.row_kernels import add_parts
from lightning_tune.norm.kernels.row_tiles import multiprocessors_of, wide_tiles
from lightning_tune.norm.kernels.shapes import or_else
from lightning_tune.norm.kernels.wide_row_kernels import (
    gradient_wide,
    merge_wide,
    moments_wide,
    normalise_wide,
    sums_wide,
)

MERGE = {"PARTS": 64, "ROWS": 8, "num_warps": 4}
ADD = {"PARTS": 128, "COLUMNS": 8, "num_warps": 4}


def forward(
    x: Tensor,
    residual: Tensor | None,
    weight: Tensor | None,
    bias: Tensor | None,
    y: Tensor,
    total: Tensor,
    mean: Tensor,
    rstd: Tensor,
    eps: float,
    flags: dict[str, bool],
) -> None:
    """Fill y, total (with a residual), mean (if centred) and rstd."""
    rows, columns = x.shape
    cut = wide_tiles(rows, int(columns), multiprocessors_of(x.device))
    centred, add = flags["CENTRED"], flags["ADD"]
    parts = torch.empty((2, cut.blocks, rows), dtype=torch.float32, device=x.device)
    pointers = (x, or_else(residual, x), total, *parts)
    strides = (*x.stride(), *or_else(residual, x).stride())
    launch(
        moments_wide, cut.grid, *pointers, rows, columns, *strides, CENTRED=centred, ADD=add, **cut.constants
    )
    grid = (triton.cdiv(rows, MERGE["ROWS"]),)
    sizes = (rows, columns, cut.blocks, cut.columns)
    launch(merge_wide, grid, *parts, mean, rstd, *sizes, eps, CENTRED=centred, **MERGE)
    pointers = (total, or_else(weight, x), or_else(bias, x), y, mean, rstd)
    given = {name: flags[name] for name in ("CENTRED", "HAS_WEIGHT", "HAS_BIAS")}
    launch(normalise_wide, cut.grid, *pointers, rows, columns, *total.stride(), **given, **cut.constants)


def backward(
    grad_y: Tensor,
    grad_sum: Tensor | None,
    kept: Tensor,
    vectors: tuple[Tensor, ...],
    grad_x: Tensor,
    flags: dict[str, bool],
) -> Tensor:
    """Fill `grad_x`; return what each program adds up for weight and bias, (2, programs, columns)."""
    rows, columns = kept.shape
    cut = wide_tiles(rows, int(columns), multiprocessors_of(kept.device))
    row_parts, parts, row_sums = (
        torch.empty(size, dtype=torch.float32, device=kept.device)
        for size in ((2, cut.blocks, rows), (2, cut.programs, columns), (2, rows))
    )
    constants = {**flags, **cut.constants}
    sizes, strides = (rows, columns), (*grad_y.stride(), *kept.stride())
    launch(sums_wide, cut.grid, grad_y, kept, *vectors, *row_parts, *parts, *sizes, *strides, **constants)
    grid = (triton.cdiv(rows, ADD["COLUMNS"]),)
    given = {"HAS_WEIGHT": True, "HAS_BIAS": flags["CENTRED"]}
    launch(add_parts, grid, *row_parts, *row_sums, cut.blocks, rows, **given, **ADD)
    total = or_else(grad_sum, kept)
    pointers = (grad_y, total, kept, *vectors, *row_sums, grad_x)
    strides = (*grad_y.stride(), *total.stride(), *kept.stride())
    add = grad_sum is not None
    launch(gradient_wide, cut.grid, *pointers, *sizes, *strides, ADD=add, **constants)
    return parts
