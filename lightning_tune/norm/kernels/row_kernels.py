"""Layer norm and RMS norm over the rows of a matrix, in Triton: what runs on the GPU, and nothing else.

A row is normalised as x̂ = (x - mean) · rstd (layer norm, Ba et al., 2016) or x̂ = x · rstd (RMS norm, Zhang
and Sennrich, 2019; `CENTRED` is False), and y = x̂ · weight + bias. With g = grad_y · weight the gradient of
the input is rstd · (g - average(g) - x̂ · average(g · x̂)), without average(g) in RMS norm. Gradients of
weight and bias are sums over all rows: each program adds up its own rows and stores a part, and `add_parts`
adds the parts. No atomics are used, so the same input gives the same bits.

Whatever the storage type, everything is computed in float32. A row that fits in the registers of a program is
read once, and its variance taken in two passes over them; `wide_row_kernels` takes the wider ones. A program
takes several tiles of rows one after another, so that weight and bias are read seldom.
"""

# mypy: disable-error-code="no-untyped-def, untyped-decorator"

import triton
import triton.language as tl

from lightning_tune.norm.kernels.tile_functions import load_vector


@triton.jit
def forward_rows(
    x,
    residual,
    weight,
    bias,
    y,
    total,
    mean,
    rstd,
    rows,
    columns,
    x_row,
    x_column,
    residual_row,
    residual_column,
    eps,
    CENTRED: tl.constexpr,
    ADD: tl.constexpr,
    HAS_WEIGHT: tl.constexpr,
    HAS_BIAS: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
):
    """Normalise tiles of ROWS whole rows; with ADD the rows are x + residual, stored in `total`, too."""
    column = tl.arange(0, COLUMNS)
    inside = column < columns
    scale = load_vector(weight, column, inside, 1.0, HAS_WEIGHT)
    shift = load_vector(bias, column, inside, 0.0, HAS_BIAS)
    for tile in range(tl.program_id(0), tl.cdiv(rows, ROWS), tl.num_programs(0)):
        row = tile * ROWS + tl.arange(0, ROWS).to(tl.int64)
        mask = (row < rows)[:, None] & inside[None, :]
        place = row[:, None] * columns + column[None, :]
        value = tl.load(x + row[:, None] * x_row + column[None, :] * x_column, mask=mask, other=0.0)
        value = value.to(tl.float32)
        if ADD:
            other = tl.load(
                residual + row[:, None] * residual_row + column[None, :] * residual_column,
                mask=mask,
                other=0.0,
            )
            value = (value + other.to(tl.float32)).to(total.dtype.element_ty)
            tl.store(total + place, value, mask=mask)
            value = value.to(tl.float32)
        if CENTRED:
            centre = tl.sum(value, axis=1) / columns
            tl.store(mean + row, centre, mask=row < rows)
            value = tl.where(mask, value - centre[:, None], 0.0)
        inverse = tl.rsqrt(tl.sum(value * value, axis=1) / columns + eps)
        tl.store(rstd + row, inverse, mask=row < rows)
        value = value * inverse[:, None] * scale[None, :] + shift[None, :]
        tl.store(y + place, value.to(y.dtype.element_ty), mask=mask)


@triton.jit
def backward_rows(
    grad_y,
    grad_total,
    kept,
    mean,
    rstd,
    weight,
    bias,
    grad_x,
    weight_parts,
    bias_parts,
    rows,
    columns,
    grad_row,
    grad_column,
    total_row,
    total_column,
    kept_row,
    kept_column,
    CENTRED: tl.constexpr,
    ADD: tl.constexpr,
    FROM_OUTPUT: tl.constexpr,
    HAS_WEIGHT: tl.constexpr,
    HAS_BIAS: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
):
    """All gradients for tiles of ROWS whole rows; with ADD `grad_total` is added to the input's.

    `kept` is what the forward pass normalised, or its output with FROM_OUTPUT.
    """
    column = tl.arange(0, COLUMNS)
    inside = column < columns
    scale = load_vector(weight, column, inside, 1.0, HAS_WEIGHT)
    shift = load_vector(bias, column, inside, 0.0, HAS_BIAS and FROM_OUTPUT)
    weight_sum = tl.zeros((ROWS, COLUMNS), tl.float32)
    bias_sum = tl.zeros((ROWS, COLUMNS), tl.float32)
    for tile in range(tl.program_id(0), tl.cdiv(rows, ROWS), tl.num_programs(0)):
        row = tile * ROWS + tl.arange(0, ROWS).to(tl.int64)
        mask = (row < rows)[:, None] & inside[None, :]
        grad = tl.load(grad_y + row[:, None] * grad_row + column[None, :] * grad_column, mask=mask, other=0.0)
        grad = grad.to(tl.float32)
        if FROM_OUTPUT and COLUMNS > 2048:  # no registers can hold them all the while: read them again
            scale = load_vector(weight, column, inside, 1.0, HAS_WEIGHT)
            shift = load_vector(bias, column, inside, 0.0, HAS_BIAS)
        places = row[:, None] * kept_row + column[None, :] * kept_column
        normal, inverse = load_normal(
            kept + places, mask, mean, rstd, row, row < rows, scale, shift, CENTRED, FROM_OUTPUT
        )
        if HAS_WEIGHT:
            weight_sum += grad * normal
        if HAS_BIAS:
            bias_sum += grad
        grad = grad * scale[None, :]
        result = grad - normal * (tl.sum(grad * normal, axis=1) / columns)[:, None]
        if CENTRED:
            result -= (tl.sum(grad, axis=1) / columns)[:, None]
        result *= inverse
        if ADD:
            place = row[:, None] * total_row + column[None, :] * total_column
            result += tl.load(grad_total + place, mask=mask, other=0.0).to(tl.float32)
        place = row[:, None] * columns + column[None, :]
        tl.store(grad_x + place, result.to(grad_x.dtype.element_ty), mask=mask)
    part = tl.program_id(0).to(tl.int64) * columns + column
    if HAS_WEIGHT:
        tl.store(weight_parts + part, tl.sum(weight_sum, axis=0), mask=inside)
    if HAS_BIAS:
        tl.store(bias_parts + part, tl.sum(bias_sum, axis=0), mask=inside)


@triton.jit
def add_parts(
    weight_parts,
    bias_parts,
    grad_weight,
    grad_bias,
    parts,
    columns,
    HAS_WEIGHT: tl.constexpr,
    HAS_BIAS: tl.constexpr,
    PARTS: tl.constexpr,
    COLUMNS: tl.constexpr,
):
    """Add up what programs left in (parts, columns), for one block of columns, always in the same order."""
    column = tl.program_id(0) * COLUMNS + tl.arange(0, COLUMNS)
    inside = column < columns
    weight_sum = tl.zeros((PARTS, COLUMNS), tl.float32)
    bias_sum = tl.zeros((PARTS, COLUMNS), tl.float32)
    for start in range(0, parts, PARTS):
        part = start + tl.arange(0, PARTS).to(tl.int64)
        mask = (part < parts)[:, None] & inside[None, :]
        place = part[:, None] * columns + column[None, :]
        if HAS_WEIGHT:
            weight_sum += tl.load(weight_parts + place, mask=mask, other=0.0)
        if HAS_BIAS:
            bias_sum += tl.load(bias_parts + place, mask=mask, other=0.0)
    if HAS_WEIGHT:
        result = tl.sum(weight_sum, axis=0).to(grad_weight.dtype.element_ty)
        tl.store(grad_weight + column, result, mask=inside)
    if HAS_BIAS:
        tl.store(grad_bias + column, tl.sum(bias_sum, axis=0).to(grad_bias.dtype.element_ty), mask=inside)


@triton.jit
def load_normal(
    pointers, mask, mean, rstd, row, inside, scale, shift, CENTRED: tl.constexpr, FROM_OUTPUT: tl.constexpr
):
    """Load a tile and compute x̂, (ROWS, COLUMNS), and its rows' rstd, (ROWS, 1).

    The tile is of the input, or of the output: then x̂ is 0 where the weight is 0, which kept nothing of it.
    """
    value = tl.load(pointers, mask=mask, other=0.0).to(tl.float32)
    inverse = tl.load(rstd + row, mask=inside, other=0.0)[:, None]
    if FROM_OUTPUT:
        result = (value - shift[None, :]) / tl.where(scale == 0.0, 1.0, scale)[None, :]
        result = tl.where(scale[None, :] == 0.0, 0.0, result)
    else:
        result = (value - load_vector(mean, row, inside, 0.0, CENTRED)[:, None]) * inverse
    return result, inverse
