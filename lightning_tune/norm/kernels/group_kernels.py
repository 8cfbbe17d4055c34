"""Group norm (Wu and He, 2018) of groups that fit in a tile, forward and backward, in Triton.

A group is `width` channels of one sample, number sample · groups + group; a program does one, or several
small ones. Tiles are GROUPS x CHANNELS x POSITIONS: what lies side by side in memory only shows in the
strides. With g = grad_y · weight and x̂ = (x - mean) · rstd, the gradient of x over the group is
rstd · (g - average(g) - x̂ · average(g · x̂)). The gradients of weight and bias are sums over samples, too: a
program stores its own, and `row_kernels.add_parts` adds them in order. Whatever the storage type, everything
is computed in float32.
"""

# mypy: disable-error-code="no-untyped-def, untyped-decorator"

import triton
import triton.language as tl

from lightning_tune.norm.kernels.tile_functions import load_vector


@triton.jit
def whole_groups(
    x,
    weight,
    bias,
    y,
    mean,
    rstd,
    rows,
    groups,
    width,
    positions,
    x_outer,
    x_channel,
    x_position,
    y_outer,
    y_channel,
    y_position,
    eps,
    HAS_WEIGHT: tl.constexpr,
    HAS_BIAS: tl.constexpr,
    GROUPS: tl.constexpr,
    CHANNELS: tl.constexpr,
    POSITIONS: tl.constexpr,
):
    """Do all of the forward pass for GROUPS groups, read once."""
    row, sample, channel, inside = program_groups(rows, groups, width, GROUPS, CHANNELS)
    position = tl.arange(0, POSITIONS).to(tl.int64)
    mask = inside[:, :, None] & (position < positions)[None, None, :]
    places = group_places(sample, channel, position, x_outer, x_channel, x_position)
    value = tl.load(x + places, mask=mask, other=0.0).to(tl.float32)
    count = tl.maximum(width * positions, 1).to(tl.float32)
    centre = over_group(value) / count
    value = tl.where(mask, value - centre[:, None, None], 0.0)
    correction = over_group(value) / count
    value = tl.where(mask, value - correction[:, None, None], 0.0)
    inverse = 1.0 / tl.sqrt(over_group(value * value) / count + eps)
    tl.store(mean + row, centre + correction, mask=row < rows)
    tl.store(rstd + row, inverse, mask=row < rows)
    scale = inverse[:, None] * load_vector(weight, channel, inside, 1.0, HAS_WEIGHT)
    shift = load_vector(bias, channel, inside, 0.0, HAS_BIAS)
    value = value * scale[:, :, None] + shift[:, :, None]
    places = group_places(sample, channel, position, y_outer, y_channel, y_position)
    tl.store(y + places, value.to(y.dtype.element_ty), mask=mask)


@triton.jit
def whole_group_gradients(
    grad_y,
    x,
    mean,
    rstd,
    weight,
    grad_x,
    weight_parts,
    bias_parts,
    rows,
    groups,
    width,
    positions,
    grad_outer,
    grad_channel,
    grad_position,
    x_outer,
    x_channel,
    x_position,
    out_outer,
    out_channel,
    out_position,
    HAS_WEIGHT: tl.constexpr,
    GROUPS: tl.constexpr,
    CHANNELS: tl.constexpr,
    POSITIONS: tl.constexpr,
):
    """Write grad_x of GROUPS groups, read once, and their sums over positions in (samples, channels)."""
    row, sample, channel, inside = program_groups(rows, groups, width, GROUPS, CHANNELS)
    position = tl.arange(0, POSITIONS).to(tl.int64)
    mask = inside[:, :, None] & (position < positions)[None, None, :]
    places = group_places(sample, channel, position, grad_outer, grad_channel, grad_position)
    grad = tl.load(grad_y + places, mask=mask, other=0.0).to(tl.float32)
    places = group_places(sample, channel, position, x_outer, x_channel, x_position)
    value = tl.load(x + places, mask=mask, other=0.0).to(tl.float32)
    centre = tl.load(mean + row, mask=row < rows, other=0.0)
    inverse = tl.load(rstd + row, mask=row < rows, other=0.0)
    normal = tl.where(mask, (value - centre[:, None, None]) * inverse[:, None, None], 0.0)
    weight_sum = tl.sum(grad * normal, axis=2)
    bias_sum = tl.sum(grad, axis=2)
    place = (sample.to(tl.int64) * groups * width)[:, None] + channel
    tl.store(weight_parts + place, weight_sum, mask=inside)
    tl.store(bias_parts + place, bias_sum, mask=inside)
    scale = load_vector(weight, channel, inside, 1.0, HAS_WEIGHT)
    count = tl.maximum(width * positions, 1).to(tl.float32)
    slope = tl.sum(weight_sum * scale, axis=1) / count
    level = tl.sum(bias_sum * scale, axis=1) / count
    grad = grad * scale[:, :, None] - level[:, None, None] - normal * slope[:, None, None]
    grad *= inverse[:, None, None]
    places = group_places(sample, channel, position, out_outer, out_channel, out_position)
    tl.store(grad_x + places, grad.to(grad_x.dtype.element_ty), mask=mask)


@triton.jit
def program_groups(rows, groups, width, GROUPS: tl.constexpr, CHANNELS: tl.constexpr):
    """Which groups are this program's, of which samples, and their channels, (GROUPS, CHANNELS)."""
    row = tl.program_id(0) * GROUPS + tl.arange(0, GROUPS)
    offset = tl.arange(0, CHANNELS)
    inside = (row < rows)[:, None] & (offset < width)[None, :]
    return row, row // groups, (row % groups * width)[:, None] + offset[None, :], inside


@triton.jit
def group_places(sample, channel, position, outer_stride, channel_stride, position_stride):
    """Offsets (GROUPS, CHANNELS, POSITIONS) in a tensor, in 64 bits."""
    place = (sample.to(tl.int64) * outer_stride)[:, None] + channel.to(tl.int64) * channel_stride
    return place[:, :, None] + (position * position_stride)[None, None, :]


@triton.jit
def over_group(tile):
    """Sum of all that belongs to a group, (GROUPS,)."""
    return tl.sum(tl.sum(tile, axis=2), axis=1)
