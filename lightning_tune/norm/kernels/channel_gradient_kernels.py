"""Batch norm backward, with the activation after it, and group norm's of large groups, in Triton.

With x̂ = (x - mean) · rstd and z = x̂ · weight + bias, computed again from x, g = grad_y · activation'(z):
the gradient of bias is the sum of g over the channel, that of weight the sum of g · x̂, and that of x is
rstd · (weight · g - average(weight · g) - x̂ · average(weight · g · x̂)), averages over what shares the
statistic: a channel, or `width` channels of a sample (see `channel_kernels`). In evaluation, where mean and
rstd are constants, it is weight · rstd · g, written in the pass that adds up. Each program adds up its own
tiles and stores a part, and `row_kernels.add_parts` adds the parts in order: no atomics, so the same input
gives the same bits.
"""

# mypy: disable-error-code="no-untyped-def, untyped-decorator"

import triton
import triton.language as tl

from lightning_tune.norm.kernels.tile_functions import (
    load_normal_and_slope,
    load_vector,
    program_channels,
    tile_places,
    tile_positions,
)


@triton.jit
def channel_sums(
    grad_y,
    x,
    mean,
    rstd,
    weight,
    bias,
    grad_x,
    weight_parts,
    bias_parts,
    width,
    outer,
    channels,
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
    HAS_BIAS: tl.constexpr,
    ACTIVATION: tl.constexpr,
    WRITE: tl.constexpr,
    CHANNELS: tl.constexpr,
    POSITIONS: tl.constexpr,
):
    """Store this program's sums of g · x̂ and g in (parts, rows); with WRITE also evaluation's grad_x."""
    sample, channel, inside = program_channels(channels, CHANNELS)
    statistic = sample * (channels // width) + channel // width
    centre = tl.load(mean + statistic, mask=inside, other=0.0)
    inverse = tl.load(rstd + statistic, mask=inside, other=0.0)
    scale = load_vector(weight, channel, inside, 1.0, HAS_WEIGHT)
    shift = load_vector(bias, channel, inside, 0.0, HAS_BIAS)
    weight_sum = tl.zeros((CHANNELS,), tl.float32)
    bias_sum = tl.zeros((CHANNELS,), tl.float32)
    blocks = tl.cdiv(positions, POSITIONS)
    for tile in range(tl.program_id(1), outer * blocks, tl.num_programs(1)):
        position = tile_positions(tile % blocks, POSITIONS)
        mask = inside[:, None] & (position < positions)[None, :]
        start = sample + tile // blocks
        grads = grad_y + tile_places(start, channel, position, grad_outer, grad_channel, grad_position)
        values = x + tile_places(start, channel, position, x_outer, x_channel, x_position)
        normal, grad = load_normal_and_slope(values, grads, mask, centre, inverse, scale, shift, ACTIVATION)
        weight_sum += tl.sum(grad * normal, axis=1)
        bias_sum += tl.sum(grad, axis=1)
        if WRITE:
            grad *= (scale * inverse)[:, None]
            places = tile_places(start, channel, position, out_outer, out_channel, out_position)
            tl.store(grad_x + places, grad.to(grad_x.dtype.element_ty), mask=mask)
    rows = tl.num_programs(0) // tl.cdiv(channels, CHANNELS) * channels
    place = tl.program_id(1).to(tl.int64) * rows + sample * channels + channel
    tl.store(weight_parts + place, weight_sum, mask=inside)
    tl.store(bias_parts + place, bias_sum, mask=inside)


@triton.jit
def channel_gradient(
    grad_y,
    x,
    mean,
    rstd,
    weight,
    bias,
    weight_sum,
    bias_sum,
    grad_x,
    width,
    outer,
    channels,
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
    HAS_BIAS: tl.constexpr,
    ACTIVATION: tl.constexpr,
    SUMS_ARE_WEIGHTED: tl.constexpr,
    CHANNELS: tl.constexpr,
    POSITIONS: tl.constexpr,
):
    """Write training's grad_x from the sums of g · x̂ and g, times weight already if SUMS_ARE_WEIGHTED."""
    sample, channel, inside = program_channels(channels, CHANNELS)
    statistic = sample * (channels // width) + channel // width
    centre = tl.load(mean + statistic, mask=inside, other=0.0)
    inverse = tl.load(rstd + statistic, mask=inside, other=0.0)
    scale = load_vector(weight, channel, inside, 1.0, HAS_WEIGHT)
    shift = load_vector(bias, channel, inside, 0.0, HAS_BIAS)
    count = tl.maximum(outer * 1.0 * positions * width, 1.0)
    slope = tl.load(weight_sum + statistic, mask=inside, other=0.0) / count
    level = tl.load(bias_sum + statistic, mask=inside, other=0.0) / count
    if not SUMS_ARE_WEIGHTED:
        slope *= scale
        level *= scale
    blocks = tl.cdiv(positions, POSITIONS)
    for tile in range(tl.program_id(1), outer * blocks, tl.num_programs(1)):
        position = tile_positions(tile % blocks, POSITIONS)
        mask = inside[:, None] & (position < positions)[None, :]
        start = sample + tile // blocks
        grads = grad_y + tile_places(start, channel, position, grad_outer, grad_channel, grad_position)
        values = x + tile_places(start, channel, position, x_outer, x_channel, x_position)
        normal, grad = load_normal_and_slope(values, grads, mask, centre, inverse, scale, shift, ACTIVATION)
        grad = (grad * scale[:, None] - level[:, None] - normal * slope[:, None]) * inverse[:, None]
        places = tile_places(start, channel, position, out_outer, out_channel, out_position)
        tl.store(grad_x + places, grad.to(grad_x.dtype.element_ty), mask=mask)


@triton.jit
def whole_channel_gradients(
    grad_y,
    x,
    mean,
    rstd,
    weight,
    bias,
    grad_x,
    grad_weight,
    grad_bias,
    channels,
    positions,
    grad_channel,
    grad_position,
    x_channel,
    x_position,
    out_channel,
    out_position,
    HAS_WEIGHT: tl.constexpr,
    HAS_BIAS: tl.constexpr,
    ACTIVATION: tl.constexpr,
    CHANNELS: tl.constexpr,
    POSITIONS: tl.constexpr,
):
    """Do all of training's backward pass for CHANNELS channels that fit in one tile."""
    channel = tl.program_id(0) * CHANNELS + tl.arange(0, CHANNELS)
    inside = channel < channels
    position = tl.arange(0, POSITIONS).to(tl.int64)
    mask = inside[:, None] & (position < positions)[None, :]
    far = channel.to(tl.int64)[:, None]
    centre = tl.load(mean + channel, mask=inside, other=0.0)
    inverse = tl.load(rstd + channel, mask=inside, other=0.0)
    scale = load_vector(weight, channel, inside, 1.0, HAS_WEIGHT)
    shift = load_vector(bias, channel, inside, 0.0, HAS_BIAS)
    grads = grad_y + far * grad_channel + position[None, :] * grad_position
    values = x + far * x_channel + position[None, :] * x_position
    normal, grad = load_normal_and_slope(values, grads, mask, centre, inverse, scale, shift, ACTIVATION)
    weight_sum = tl.sum(grad * normal, axis=1)
    bias_sum = tl.sum(grad, axis=1)
    tl.store(grad_weight + channel, weight_sum.to(grad_weight.dtype.element_ty), mask=inside)
    tl.store(grad_bias + channel, bias_sum.to(grad_bias.dtype.element_ty), mask=inside)
    count = tl.maximum(positions, 1).to(tl.float32)
    grad -= (bias_sum / count)[:, None] + normal * (weight_sum / count)[:, None]
    grad *= (scale * inverse)[:, None]
    places = far * out_channel + position[None, :] * out_position
    tl.store(grad_x + places, grad.to(grad_x.dtype.element_ty), mask=mask)
