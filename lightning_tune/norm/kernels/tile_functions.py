"""What kernels share: vectors that may be absent, tiles of a tensor, merging of moments, activations.

A tile is CHANNELS x POSITIONS elements of a tensor, seen as (outer, channels, positions) with any strides.
Which of the two lies side by side in memory only shows in the strides: one that is 1 is known when a kernel
is compiled, and the threads are laid out along it.
"""

# mypy: disable-error-code="no-untyped-def, untyped-decorator"

import triton
import triton.language as tl

RELU = tl.constexpr(1)
SILU = tl.constexpr(2)
GELU = tl.constexpr(3)


@triton.jit
def program_channels(channels, CHANNELS: tl.constexpr):
    """Which sample and which of its channels are this program's; of the whole batch together, sample is 0."""
    blocks = tl.cdiv(channels, CHANNELS)
    channel = tl.program_id(0) % blocks * CHANNELS + tl.arange(0, CHANNELS)
    return tl.program_id(0) // blocks, channel, channel < channels


@triton.jit
def tile_places(start, channel, position, outer_stride, channel_stride, position_stride):
    """Offsets (CHANNELS, POSITIONS) of a tile within slice `start` of the outer dimension, in 64 bits."""
    corner = start.to(tl.int64) * outer_stride
    return corner + channel.to(tl.int64)[:, None] * channel_stride + position[None, :] * position_stride


@triton.jit
def tile_positions(block, POSITIONS: tl.constexpr):
    """Positions of a block, in 64 bits: times a stride they may pass 2^31."""
    return tl.cast(block, tl.int64) * POSITIONS + tl.arange(0, POSITIONS)


@triton.jit
def load_vector(source, place, inside, absent: tl.constexpr, present: tl.constexpr):
    """Load a value a channel, column or row in float32, or stand in for one that is absent."""
    if present:
        result = tl.load(source + place, mask=inside, other=absent).to(tl.float32)
    else:
        result = tl.full(place.shape, absent, tl.float32)
    return result


@triton.jit
def merge(count, mean, m2, other_count, other_mean, other_m2):
    """Join counts, means and sums of squared deviations of two sets (Chan, Golub and LeVeque, 1979)."""
    total = count + other_count
    difference = other_mean - mean
    share = other_count / tl.maximum(total, 1.0)
    m2 += other_m2 + difference * difference * count * share
    return total, mean + difference * share, m2


@triton.jit
def activate(z, ACTIVATION: tl.constexpr):
    """Apply the activation; a NaN stays one, as in torch."""
    result = z
    if ACTIVATION == RELU:
        result = tl.where(z < 0.0, 0.0, z)
    if ACTIVATION == SILU:
        result = z * tl.sigmoid(z)
    if ACTIVATION == GELU:
        result = 0.5 * z * (1.0 + tl.erf(z * 0.7071067811865476))
    return result


@triton.jit
def times_slope(grad, z, ACTIVATION: tl.constexpr):
    """Multiply a gradient by the derivative of the activation at z; ReLU's at 0 is 0, as in torch."""
    result = grad
    if ACTIVATION == RELU:
        result = tl.where(z <= 0.0, 0.0, grad)
    if ACTIVATION == SILU:
        gate = tl.sigmoid(z)
        result = grad * (gate * (1.0 + z * (1.0 - gate)))
    if ACTIVATION == GELU:
        below = 0.5 * (1.0 + tl.erf(z * 0.7071067811865476))
        result = grad * (below + z * 0.3989422804014327 * tl.exp(-0.5 * z * z))
    return result


@triton.jit
def load_normal_and_slope(
    x_pointers, grad_pointers, mask, centre, inverse, scale, shift, ACTIVATION: tl.constexpr
):
    """Load a tile (CHANNELS, POSITIONS); return x̂, and its gradient through the activation."""
    grad = tl.load(grad_pointers, mask=mask, other=0.0).to(tl.float32)
    value = tl.load(x_pointers, mask=mask, other=0.0).to(tl.float32)
    normal = tl.where(mask, (value - centre[:, None]) * inverse[:, None], 0.0)
    return normal, times_slope(grad, normal * scale[:, None] + shift[:, None], ACTIVATION)
