"""The launches of the row kernels: room for the outputs, one kernel or several, and what each is given."""

from typing import Any

import torch
import triton
from torch import Tensor

from lightning_tune.norm.kernels import wide_row_launch
from lightning_tune.norm.kernels.launch import launch
from lightning_tune.norm.kernels.row_kernels import add_parts, backward_rows, forward_rows
from lightning_tune.norm.kernels.row_tiles import BACKWARD, FORWARD, multiprocessors_of, tiles
from lightning_tune.norm.kernels.shapes import or_else

ADD_PARTS = {"PARTS": 64, "COLUMNS": 32, "num_warps": 4}
ADD_WIDE_PARTS = {"PARTS": 16, "COLUMNS": 256, "num_warps": 8}


def forward(
    x: Tensor,
    residual: Tensor | None,
    weight: Tensor | None,
    bias: Tensor | None,
    eps: float,
    *,
    centred: bool,
    dtype: torch.dtype | None = None,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return (y, sum, mean, rstd): `sum` is x itself without a residual, `mean` is empty in RMS norm.

    `dtype` is y's, by default the sum's.
    """
    rows, columns = x.shape[0], int(x.shape[1])
    storage = x.dtype if residual is None else torch.promote_types(x.dtype, residual.dtype)
    y = torch.empty((rows, columns), dtype=dtype or storage, device=x.device)
    total = x if residual is None else torch.empty((rows, columns), dtype=storage, device=x.device)
    mean = torch.empty(rows if centred else 0, dtype=torch.float32, device=x.device)
    rstd = torch.empty(rows, dtype=torch.float32, device=x.device)
    if columns == 0:
        return y, total, mean.zero_(), rstd.fill_(eps**-0.5 if eps > 0 else torch.inf)
    x, residual, weight, bias = _near(x), _near(residual), _dense(weight), _dense(bias)
    flags = {
        "CENTRED": centred,
        "ADD": residual is not None,
        "HAS_WEIGHT": weight is not None,
        "HAS_BIAS": bias is not None,
    }
    if columns > FORWARD.widest:
        wide_row_launch.forward(x, residual, weight, bias, y, total, mean, rstd, eps, flags)
        return y, total, mean, rstd
    pointers = (x, or_else(residual, x), or_else(weight, x), or_else(bias, x), y, total, mean, rstd)
    strides = (*x.stride(), *or_else(residual, x).stride())
    cut = tiles(FORWARD, rows, columns, x.element_size(), multiprocessors_of(x.device))
    launch(forward_rows, (cut.programs,), *pointers, rows, columns, *strides, eps, **flags, **cut.constants)
    return y, total, mean, rstd


def backward(
    grad_y: Tensor,
    grad_sum: Tensor | None,
    kept: Tensor,
    mean: Tensor | None,
    rstd: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    *,
    has_bias: bool,
    centred: bool,
    from_output: bool = False,
    dtype: torch.dtype | None = None,
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """Return the gradients of what was normalised, of weight and of bias (None for an absent one).

    `kept` is what was normalised; with `from_output` it is the output, and `bias` is then needed.
    `dtype` is that of the first gradient, by default that of `kept`.
    """
    rows, columns = kept.shape[0], int(kept.shape[1])
    grad_x = torch.empty((rows, columns), dtype=dtype or kept.dtype, device=kept.device)
    like = kept if weight is None else weight
    grad_weight = None if weight is None else torch.empty(columns, dtype=weight.dtype, device=kept.device)
    grad_bias = torch.empty(columns, dtype=like.dtype, device=kept.device) if has_bias else None
    if columns == 0:
        return grad_x, grad_weight, grad_bias
    grad_y, grad_sum, kept = _near(grad_y), _near(grad_sum), _near(kept)
    weight, bias = _dense(weight), _dense(bias)
    flags = {
        "CENTRED": centred,
        "FROM_OUTPUT": from_output,
        "HAS_WEIGHT": weight is not None,
        "HAS_BIAS": has_bias,
    }
    vectors = (or_else(mean, rstd), rstd, or_else(weight, kept), or_else(bias, kept))
    narrow = columns <= BACKWARD.widest
    launch_all = _narrow_backward if narrow else wide_row_launch.backward
    parts = launch_all(grad_y, grad_sum, kept, vectors, grad_x, flags)
    if weight is not None or has_bias:
        results = (or_else(grad_weight, parts), or_else(grad_bias, parts))
        given = {name: flags[name] for name in ("HAS_WEIGHT", "HAS_BIAS")}
        adding = ADD_PARTS if narrow else ADD_WIDE_PARTS
        grid = (triton.cdiv(columns, adding["COLUMNS"]),)
        launch(add_parts, grid, *parts, *results, parts.shape[1], columns, **given, **adding)
    return grad_x, grad_weight, grad_bias


def _narrow_backward(
    grad_y: Tensor,
    grad_sum: Tensor | None,
    kept: Tensor,
    vectors: tuple[Tensor, ...],
    grad_x: Tensor,
    flags: dict[str, bool],
) -> Tensor:
    """Fill `grad_x`; return what each program adds up for weight and bias, (2, programs, columns)."""
    rows, columns = kept.shape
    cut = tiles(BACKWARD, rows, int(columns), kept.element_size(), multiprocessors_of(kept.device))
    parts = torch.empty((2, cut.programs, columns), dtype=torch.float32, device=kept.device)
    pointers = (grad_y, or_else(grad_sum, kept), kept, *vectors, grad_x, *parts)
    strides = (*grad_y.stride(), *or_else(grad_sum, kept).stride(), *kept.stride())
    constants = {**flags, **cut.constants, "ADD": grad_sum is not None}
    launch(backward_rows, (cut.programs,), *pointers, rows, columns, *strides, **constants)
    return parts


def _near(matrix: Any) -> Any:
    """Copy a matrix whose rows span so much that offsets in them would not fit in 32 bits."""
    if matrix is not None and abs(matrix.stride(1)) * matrix.shape[1] >= 2**31:
        return matrix.contiguous()
    return matrix


def _dense(vector: Tensor | None) -> Tensor | None:
    return None if vector is None else vector.contiguous()
