"""Layer norm and RMS norm over rows too wide for the registers of a program, in Triton; see `row_kernels`.

The matrix is cut both ways, into tiles of ROWS x COLUMNS; program axis 0 goes over the blocks of columns,
axis 1 over tiles of rows, of which a program takes several. First each tile leaves a part of each of its
rows: their mean and squared deviations, or the sums that the backward pass needs. Then the parts of a row are
put together, means and deviations by Chan's formula (Chan et al., 1979). Then each tile is read again and its
output written. Any width goes, and a single row keeps the whole GPU busy.
"""

# mypy: disable-error-code="no-untyped-def, untyped-decorator"

import triton
import triton.language as tl

from lightning_tune.norm.kernels.row_kernels import load_normal
from lightning_tune.norm.kernels.tile_functions import load_vector


@triton.jit
def moments_wide(
    x,
    residual,
    total,
    average_parts,
    spread_parts,
    rows,
    columns,
    x_row,
    x_column,
    residual_row,
    residual_column,
    CENTRED: tl.constexpr,
    ADD: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
):
    """Store mean and squared deviations (RMS norm: squares) of each row in a block, (blocks, rows)."""
    block = tl.program_id(0)
    column = block * COLUMNS + tl.arange(0, COLUMNS).to(tl.int64)
    inside = column < columns
    count = tl.minimum(columns - block * COLUMNS, COLUMNS)
    for tile in range(tl.program_id(1), tl.cdiv(rows, ROWS), tl.num_programs(1)):
        row = tile * ROWS + tl.arange(0, ROWS).to(tl.int64)
        mask = (row < rows)[:, None] & inside[None, :]
        value = tl.load(x + row[:, None] * x_row + column[None, :] * x_column, mask=mask, other=0.0)
        value = value.to(tl.float32)
        if ADD:
            place = row[:, None] * residual_row + column[None, :] * residual_column
            value += tl.load(residual + place, mask=mask, other=0.0).to(tl.float32)
            value = value.to(total.dtype.element_ty)
            tl.store(total + row[:, None] * columns + column[None, :], value, mask=mask)
            value = value.to(tl.float32)
        part = block.to(tl.int64) * rows + row
        if CENTRED:
            average = tl.sum(value, axis=1) / count
            tl.store(average_parts + part, average, mask=row < rows)
            value = tl.where(mask, value - average[:, None], 0.0)
        tl.store(spread_parts + part, tl.sum(value * value, axis=1), mask=row < rows)


@triton.jit
def merge_wide(
    average_parts,
    spread_parts,
    mean,
    rstd,
    rows,
    columns,
    blocks,
    block_columns,
    eps,
    CENTRED: tl.constexpr,
    PARTS: tl.constexpr,
    ROWS: tl.constexpr,
):
    """Put the parts of each row together: mean, and rstd from the sum of squared deviations."""
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS).to(tl.int64)
    weighted = tl.zeros((PARTS, ROWS), tl.float32)
    spread = tl.zeros((PARTS, ROWS), tl.float32)
    centre = tl.zeros((ROWS,), tl.float32)
    if CENTRED:
        for start in range(0, blocks, PARTS):
            block = start + tl.arange(0, PARTS).to(tl.int64)
            mask = (block < blocks)[:, None] & (row < rows)[None, :]
            count = tl.minimum(columns - block * block_columns, block_columns).to(tl.float32)
            average = tl.load(average_parts + block[:, None] * rows + row[None, :], mask=mask, other=0.0)
            weighted += average * count[:, None]
        centre = tl.sum(weighted, axis=0) / columns
        tl.store(mean + row, centre, mask=row < rows)
    for start in range(0, blocks, PARTS):
        block = start + tl.arange(0, PARTS).to(tl.int64)
        mask = (block < blocks)[:, None] & (row < rows)[None, :]
        place = block[:, None] * rows + row[None, :]
        spread += tl.load(spread_parts + place, mask=mask, other=0.0)
        if CENTRED:
            count = tl.minimum(columns - block * block_columns, block_columns).to(tl.float32)
            away = tl.load(average_parts + place, mask=mask, other=0.0) - centre[None, :]
            spread += tl.where(mask, away * away * count[:, None], 0.0)
    tl.store(rstd + row, tl.rsqrt(tl.sum(spread, axis=0) / columns + eps), mask=row < rows)


@triton.jit
def normalise_wide(
    x,
    weight,
    bias,
    y,
    mean,
    rstd,
    rows,
    columns,
    x_row,
    x_column,
    CENTRED: tl.constexpr,
    HAS_WEIGHT: tl.constexpr,
    HAS_BIAS: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
):
    """Store the output of a block of columns."""
    column = tl.program_id(0) * COLUMNS + tl.arange(0, COLUMNS).to(tl.int64)
    inside = column < columns
    scale = load_vector(weight, column, inside, 1.0, HAS_WEIGHT)
    shift = load_vector(bias, column, inside, 0.0, HAS_BIAS)
    for tile in range(tl.program_id(1), tl.cdiv(rows, ROWS), tl.num_programs(1)):
        row = tile * ROWS + tl.arange(0, ROWS).to(tl.int64)
        mask = (row < rows)[:, None] & inside[None, :]
        value = tl.load(x + row[:, None] * x_row + column[None, :] * x_column, mask=mask, other=0.0)
        inverse = tl.load(rstd + row, mask=row < rows, other=0.0)[:, None]
        centre = load_vector(mean, row, row < rows, 0.0, CENTRED)[:, None]
        value = (value.to(tl.float32) - centre) * inverse * scale[None, :] + shift[None, :]
        place = row[:, None] * columns + column[None, :]
        tl.store(y + place, value.to(y.dtype.element_ty), mask=mask)


@triton.jit
def sums_wide(
    grad_y,
    kept,
    mean,
    rstd,
    weight,
    bias,
    slope_parts,
    level_parts,
    weight_parts,
    bias_parts,
    rows,
    columns,
    grad_row,
    grad_column,
    kept_row,
    kept_column,
    CENTRED: tl.constexpr,
    FROM_OUTPUT: tl.constexpr,
    HAS_WEIGHT: tl.constexpr,
    HAS_BIAS: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
):
    """Add up all that the gradients need: g · x̂ and g of each row in a block, and for weight and bias."""
    block = tl.program_id(0)
    column = block * COLUMNS + tl.arange(0, COLUMNS).to(tl.int64)
    inside = column < columns
    scale = load_vector(weight, column, inside, 1.0, HAS_WEIGHT)
    shift = load_vector(bias, column, inside, 0.0, HAS_BIAS and FROM_OUTPUT)
    weight_sum = tl.zeros((ROWS, COLUMNS), tl.float32)
    bias_sum = tl.zeros((ROWS, COLUMNS), tl.float32)
    for tile in range(tl.program_id(1), tl.cdiv(rows, ROWS), tl.num_programs(1)):
        row = tile * ROWS + tl.arange(0, ROWS).to(tl.int64)
        mask = (row < rows)[:, None] & inside[None, :]
        grad = tl.load(grad_y + row[:, None] * grad_row + column[None, :] * grad_column, mask=mask, other=0.0)
        grad = grad.to(tl.float32)
        places = row[:, None] * kept_row + column[None, :] * kept_column
        normal, inverse = load_normal(
            kept + places, mask, mean, rstd, row, row < rows, scale, shift, CENTRED, FROM_OUTPUT
        )
        if HAS_WEIGHT:
            weight_sum += grad * normal
        if HAS_BIAS:
            bias_sum += grad
        grad = grad * scale[None, :]
        part = block.to(tl.int64) * rows + row
        tl.store(slope_parts + part, tl.sum(grad * normal, axis=1), mask=row < rows)
        if CENTRED:
            tl.store(level_parts + part, tl.sum(grad, axis=1), mask=row < rows)
    part = tl.program_id(1).to(tl.int64) * columns + column
    if HAS_WEIGHT:
        tl.store(weight_parts + part, tl.sum(weight_sum, axis=0), mask=inside)
    if HAS_BIAS:
        tl.store(bias_parts + part, tl.sum(bias_sum, axis=0), mask=inside)


@triton.jit
def gradient_wide(
    grad_y,
    grad_total,
    kept,
    mean,
    rstd,
    weight,
    bias,
    slope,
    level,
    grad_x,
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
    """Store the gradient of the input of a block of columns; `slope` and `level` are the rows' sums."""
    column = tl.program_id(0) * COLUMNS + tl.arange(0, COLUMNS).to(tl.int64)
    inside = column < columns
    scale = load_vector(weight, column, inside, 1.0, HAS_WEIGHT)
    shift = load_vector(bias, column, inside, 0.0, HAS_BIAS and FROM_OUTPUT)
    for tile in range(tl.program_id(1), tl.cdiv(rows, ROWS), tl.num_programs(1)):
        row = tile * ROWS + tl.arange(0, ROWS).to(tl.int64)
        mask = (row < rows)[:, None] & inside[None, :]
        grad = tl.load(grad_y + row[:, None] * grad_row + column[None, :] * grad_column, mask=mask, other=0.0)
        places = row[:, None] * kept_row + column[None, :] * kept_column
        normal, inverse = load_normal(
            kept + places, mask, mean, rstd, row, row < rows, scale, shift, CENTRED, FROM_OUTPUT
        )
        along = tl.load(slope + row, mask=row < rows, other=0.0)[:, None] / columns
        plain = load_vector(level, row, row < rows, 0.0, CENTRED)[:, None] / columns
        result = (grad.to(tl.float32) * scale[None, :] - plain - normal * along) * inverse
        if ADD:
            place = row[:, None] * total_row + column[None, :] * total_column
            result += tl.load(grad_total + place, mask=mask, other=0.0).to(tl.float32)
        place = row[:, None] * columns + column[None, :]
        tl.store(grad_x + place, result.to(grad_x.dtype.element_ty), mask=mask)
