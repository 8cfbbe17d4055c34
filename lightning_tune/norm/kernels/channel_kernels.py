"""Batch norm forward (Ioffe and Szegedy, 2015) with the activation after it, and large groups', in Triton.

Over all that belongs to a channel, y = activation((x - mean) · rstd · weight + bias). A channel that fits in
a tile is read once (`whole_channels`). Else programs share each channel's tiles: each merges the moments of
its own (`channel_moments`), `merge_moments` joins what they left, always in the same order, and
`normalise_channels` reads x again. A channel of a usual image batch is larger than a multiprocessor's memory,
so two reads are the floor.

Large groups of group norm go the same way: channels of each sample are then treated apart (a row is one
channel of one sample, and `outer` is 1), and `width` of them share a statistic. In batch norm the row is the
channel, and `width` is 1.

Whatever the storage type, everything is computed in float32. A tile's variance is taken in two passes over
registers, of values less a first one of the same statistic: a mean of 1e4 then costs no digits in the sums.
"""

# mypy: disable-error-code="no-untyped-def, untyped-decorator"

import triton
import triton.language as tl

from lightning_tune.norm.kernels.tile_functions import (
    activate,
    load_vector,
    merge,
    program_channels,
    tile_places,
    tile_positions,
)


@triton.jit
def channel_moments(
    x,
    moments,
    width,
    outer,
    channels,
    positions,
    x_outer,
    x_channel,
    x_position,
    CHANNELS: tl.constexpr,
    POSITIONS: tl.constexpr,
):
    """Store count, mean and sum of squared deviations of this program's tiles in (3, parts, rows).

    Means are less the statistic's first value, which is stored behind them: a mean of 1e4 then costs no
    digits when parts are merged.
    """
    part = tl.program_id(1)
    sample, channel, inside = program_channels(channels, CHANNELS)
    blocks = tl.cdiv(positions, POSITIONS)
    first = sample.to(tl.int64) * x_outer + (channel // width * width).to(tl.int64) * x_channel
    shift = tl.load(x + first, mask=inside & (outer * positions > 0), other=0.0).to(tl.float32)
    count = tl.zeros((CHANNELS,), tl.float32)
    mean = tl.zeros((CHANNELS,), tl.float32)
    m2 = tl.zeros((CHANNELS,), tl.float32)
    for tile in range(part, outer * blocks, tl.num_programs(1)):
        position = tile_positions(tile % blocks, POSITIONS)
        mask = inside[:, None] & (position < positions)[None, :]
        places = tile_places(sample + tile // blocks, channel, position, x_outer, x_channel, x_position)
        value = tl.load(x + places, mask=mask, other=0.0).to(tl.float32) - shift[:, None]
        size = tl.minimum(positions - (tile % blocks) * POSITIONS, POSITIONS).to(tl.float32)
        centre = tl.sum(tl.where(mask, value, 0.0), axis=1) / size
        value = tl.where(mask, value - centre[:, None], 0.0)
        count, mean, m2 = merge(count, mean, m2, size, centre, tl.sum(value * value, axis=1))
    rows = tl.num_programs(0) // tl.cdiv(channels, CHANNELS) * channels
    plane = tl.num_programs(1).to(tl.int64) * rows
    target = moments + part.to(tl.int64) * rows + sample * channels + channel
    tl.store(target, count, mask=inside)
    tl.store(target + plane, mean, mask=inside)
    tl.store(target + 2 * plane, m2, mask=inside)
    tl.store(moments + 3 * plane + sample * channels + channel, shift, mask=inside & (part == 0))


@triton.jit
def merge_moments(
    moments,
    mean,
    var,
    rstd,
    parts,
    rows,
    width,
    eps,
    PARTS: tl.constexpr,
    ROWS: tl.constexpr,
):
    """Join moments in (3, parts, rows, width) over parts and width, for one block of rows; see above."""
    row = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    inside = row < rows
    plane = tl.cast(parts, tl.int64) * rows * width
    count = tl.zeros((ROWS,), tl.float32)
    centre = tl.zeros((ROWS,), tl.float32)
    m2 = tl.zeros((ROWS,), tl.float32)
    for start in range(0, parts * width, PARTS):
        part = start + tl.arange(0, PARTS).to(tl.int64)
        mask = (part < parts * width)[:, None] & inside[None, :]
        source = moments + (part // width * rows * width + part % width)[:, None] + (row * width)[None, :]
        counts = tl.load(source, mask=mask, other=0.0)
        means = tl.load(source + plane, mask=mask, other=0.0)
        size = tl.sum(counts, axis=0)
        average = tl.sum(counts * means, axis=0) / tl.maximum(size, 1.0)
        means -= average[None, :]
        squares = tl.sum(tl.load(source + 2 * plane, mask=mask, other=0.0) + counts * means * means, axis=0)
        count, centre, m2 = merge(count, centre, m2, size, average, squares)
    m2 /= tl.maximum(count, 1.0)
    shift = tl.load(moments + 3 * plane + row * width, mask=inside, other=0.0)
    tl.store(mean + row, centre + shift, mask=inside)
    tl.store(var + row, m2, mask=inside)
    tl.store(rstd + row, 1.0 / tl.sqrt(m2 + eps), mask=inside)


@triton.jit
def normalise_channels(
    x,
    mean,
    rstd,
    weight,
    bias,
    y,
    width,
    outer,
    channels,
    positions,
    x_outer,
    x_channel,
    x_position,
    y_outer,
    y_channel,
    y_position,
    HAS_WEIGHT: tl.constexpr,
    HAS_BIAS: tl.constexpr,
    ACTIVATION: tl.constexpr,
    CHANNELS: tl.constexpr,
    POSITIONS: tl.constexpr,
):
    """Write y from x and statistics that are known."""
    sample, channel, inside = program_channels(channels, CHANNELS)
    statistic = sample * (channels // width) + channel // width
    centre = tl.load(mean + statistic, mask=inside, other=0.0)
    scale = tl.load(rstd + statistic, mask=inside, other=0.0)
    scale *= load_vector(weight, channel, inside, 1.0, HAS_WEIGHT)
    shift = load_vector(bias, channel, inside, 0.0, HAS_BIAS)
    blocks = tl.cdiv(positions, POSITIONS)
    for tile in range(tl.program_id(1), outer * blocks, tl.num_programs(1)):
        position = tile_positions(tile % blocks, POSITIONS)
        mask = inside[:, None] & (position < positions)[None, :]
        places = tile_places(sample + tile // blocks, channel, position, x_outer, x_channel, x_position)
        value = tl.load(x + places, mask=mask, other=0.0).to(tl.float32)
        value = tl.where(mask, value - centre[:, None], 0.0)
        value = activate(value * scale[:, None] + shift[:, None], ACTIVATION)
        places = tile_places(sample + tile // blocks, channel, position, y_outer, y_channel, y_position)
        tl.store(y + places, value.to(y.dtype.element_ty), mask=mask)


@triton.jit
def whole_channels(
    x,
    weight,
    bias,
    y,
    mean,
    var,
    rstd,
    channels,
    positions,
    x_channel,
    x_position,
    y_channel,
    y_position,
    eps,
    HAS_WEIGHT: tl.constexpr,
    HAS_BIAS: tl.constexpr,
    ACTIVATION: tl.constexpr,
    CHANNELS: tl.constexpr,
    POSITIONS: tl.constexpr,
):
    """Do all of the forward pass for CHANNELS channels that fit in one tile."""
    channel = tl.program_id(0) * CHANNELS + tl.arange(0, CHANNELS)
    inside = channel < channels
    position = tl.arange(0, POSITIONS).to(tl.int64)
    mask = inside[:, None] & (position < positions)[None, :]
    places = channel.to(tl.int64)[:, None] * x_channel + position[None, :] * x_position
    value = tl.load(x + places, mask=mask, other=0.0).to(tl.float32)
    count = tl.maximum(positions, 1).to(tl.float32)
    centre = tl.sum(value, axis=1) / count
    value = tl.where(mask, value - centre[:, None], 0.0)
    correction = tl.sum(value, axis=1) / count
    value = tl.where(mask, value - correction[:, None], 0.0)
    variance = tl.sum(value * value, axis=1) / count
    inverse = 1.0 / tl.sqrt(variance + eps)
    tl.store(mean + channel, centre + correction, mask=inside)
    tl.store(var + channel, variance, mask=inside)
    tl.store(rstd + channel, inverse, mask=inside)
    scale = inverse * load_vector(weight, channel, inside, 1.0, HAS_WEIGHT)
    shift = load_vector(bias, channel, inside, 0.0, HAS_BIAS)
    value = activate(value * scale[:, None] + shift[:, None], ACTIVATION)
    places = channel.to(tl.int64)[:, None] * y_channel + position[None, :] * y_position
    tl.store(y + places, value.to(y.dtype.element_ty), mask=mask)
