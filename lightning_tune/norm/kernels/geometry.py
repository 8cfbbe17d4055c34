"""How a tensor (N, C, *spatial) is seen as (outer, channels, positions) without a copy, and cut into tiles.

Positions are the elements of a channel that lie at one constant stride: those of a sample in a contiguous
tensor, those of the whole batch in a channels-last one. The cut depends on shape and strides alone, and on
nothing measured, so results are the same to the bit every time.
"""

from typing import NamedTuple

import torch
from torch import Tensor

PROGRAMS = 1024
"""How many programs share a tensor: about eight a multiprocessor of a large GPU."""
_TILE = 4096
_WHOLE_TILE = 8192
_SMALLEST = 512
_LINE_BYTES = 128
_SECTOR_BYTES = 32
_LONGEST = 1024
_CHANNEL_BYTES = 400  # that a program reads at least: what it stores of a channel then adds under 5 %


class Sizes(NamedTuple):
    """Sizes of the three dimensions."""

    outer: int
    channels: int
    positions: int


class Strides(NamedTuple):
    """Strides of the three dimensions, in elements."""

    outer: int
    channel: int
    position: int


class Cut(NamedTuple):
    """How many programs share the work, and the tile of each: CHANNELS x POSITIONS elements.

    There are `blocks` blocks of channels or of groups, and `parts` programs share each. Where a tile is of
    whole groups, it is of `groups` of them.
    """

    blocks: int
    parts: int
    channels: int
    positions: int
    warps: int
    groups: int = 0

    def constants(self) -> dict[str, int]:
        """Give the constants that every kernel over tiles takes."""
        groups = {"GROUPS": self.groups} if self.groups else {}
        return {**groups, "CHANNELS": self.channels, "POSITIONS": self.positions, "num_warps": self.warps}


class View:
    """A tensor as (outer, channels, positions), and other tensors of its shape in the same way.

    Attributes:
        tensor: the tensor itself, or a contiguous copy where its strides allow no such view.
        sizes: of the three dimensions.
        strides: of the three dimensions.
    """

    def __init__(self, tensor: Tensor, *, merge: bool = True) -> None:
        """Find the view.

        Args:
            tensor: (N, C, *spatial), with any strides.
            merge: whether the samples may become positions, where they lie at the same stride.
        """
        samples, channels = tensor.shape[:2]
        spatial = tensor.shape[2:].numel()
        self._merged, found = merge, _strides(tensor, merged=True) if merge else None
        if found is None:
            self._merged, found = False, _strides(tensor, merged=False)
        if found is None:
            tensor, found = tensor.contiguous(), Strides(channels * spatial, spatial, 1)
        self.tensor, self.strides = tensor, found
        self.sizes = (
            Sizes(1, channels, samples * spatial) if self._merged else Sizes(samples, channels, spatial)
        )

    @property
    def channels_last(self) -> bool:
        """Whether a position's channels lie side by side, and not a channel's positions."""
        return self.strides.channel < self.strides.position

    def empty(self, dtype: torch.dtype | None = None) -> tuple[Tensor, Strides]:
        """Make a dense tensor of the same shape, order of strides and, unless one is given, type."""
        samples, channels = self.tensor.shape[:2]
        spatial = self.tensor.shape[2:]
        unit, channel, outer = 1, spatial.numel(), channels * spatial.numel()
        if self.channels_last:
            unit, channel = channels, 1
        elif self._merged:
            channel, outer = samples * spatial.numel(), spatial.numel()
        strides = [unit * spatial[dim + 1 :].numel() for dim in range(len(spatial))]
        result = self.tensor.new_empty_strided(self.tensor.shape, (outer, channel, *strides), dtype=dtype)
        return result, Strides(
            0 if self._merged else outer, channel, unit if self.sizes.positions != 1 else 1
        )

    def like(self, other: Tensor) -> tuple[Tensor, Strides]:
        """See another tensor the same way, copied where it lies in another order."""
        found = _strides(other, merged=self._merged)
        if found is not None and self._is_near(found):
            return other, found
        result, found = self.empty(other.dtype)
        return result.copy_(other), found

    def _is_near(self, strides: Strides) -> bool:
        """Whether what lies side by side here does so there, or is one and the same element (expanded)."""
        if self.channels_last:
            return strides.channel in {0, self.strides.channel}
        return strides.position in {0, self.strides.position}

    def cut(self, *, samples_apart: bool = False, tensors: int = 1) -> Cut:
        """Choose the tiles of kernels that share each channel among programs.

        Args:
            samples_apart: whether each sample's channel is treated apart, and not one over the whole batch.
            tensors: how many tiles a program holds at once.
        """
        outer, channels, positions = self.sizes
        elements = _TILE // tensors
        cut = tile(channels, positions, self._itemsize, elements, channels_last=self.channels_last)
        blocks = ceil_divide(channels, cut[0])
        tiles = ceil_divide(positions, cut[1])
        if samples_apart:
            blocks *= outer
        else:
            tiles *= outer
        least = ceil_divide(_CHANNEL_BYTES, at_least_1(min(cut[1], positions) * self._itemsize))
        parts = at_least_1(min(ceil_divide(tiles, least), ceil_divide(PROGRAMS, at_least_1(blocks))))
        return Cut(blocks, parts, *cut, warps(cut[0] * cut[1] * tensors, 4))

    def whole(self, *, tensors: int = 1) -> Cut | None:
        """Choose the tiles of kernels that hold whole channels, or None if one is too large for a tile."""
        if self.sizes.outer != 1:
            return None
        positions = power_of_two(self.sizes.positions)
        channels = _SECTOR_BYTES // self._itemsize if self.channels_last else 1
        channels = min(max(channels, _SMALLEST // positions), power_of_two(self.sizes.channels))
        if channels * positions > _WHOLE_TILE:
            return None
        blocks = ceil_divide(self.sizes.channels, channels)
        return Cut(blocks, 1, channels, positions, warps(channels * positions * tensors, 16))

    def whole_group(self, width: int, *, tensors: int = 1) -> Cut | None:
        """Choose the tile of kernels that hold one group of `width` channels of a sample.

        None if the group is too large, or if so few of its channels lie side by side that most of each piece
        of memory would be read in vain.
        """
        if self.channels_last and width * self._itemsize < _SECTOR_BYTES:
            return None
        channels, positions = power_of_two(width), power_of_two(self.sizes.positions)
        if channels * positions > _WHOLE_TILE:
            return None
        rows = self.sizes.outer * (self.sizes.channels // width)
        groups = min(at_least_1(_SMALLEST // (channels * positions)), power_of_two(rows))
        elements = groups * channels * positions
        return Cut(ceil_divide(rows, groups), 1, channels, positions, warps(elements * tensors, 16), groups)

    @property
    def _itemsize(self) -> int:
        return self.tensor.element_size()


def tile(
    channels: int, positions: int, itemsize: int, elements: int, *, channels_last: bool
) -> tuple[int, int]:
    """Choose channels and positions of a tile, each a power of two, long along what lies side by side."""
    if channels_last:
        width = min(power_of_two(channels), _LINE_BYTES // itemsize)
        return width, min(power_of_two(positions), elements // width)
    length = min(power_of_two(positions), _LONGEST)
    while length > 64 and ceil_divide(positions, length) * length * 7 > positions * 8:
        length //= 2
    return min(power_of_two(channels), elements // length), length


def warps(elements: int, most: int) -> int:
    """Choose the warps of a program: 32 elements a thread, all tensors together."""
    return min(max(1, elements // 1024), most)


def ceil_divide(number: int, by: int) -> int:
    """Divide and round up."""
    return (number + by - 1) // by


def at_least_1(number: int) -> int:
    """Return the number, or 1 in place of 0."""
    return max(1, number)


def power_of_two(number: int) -> int:
    """Return the smallest power of two that is not below a number; sizes that torch.compile leaves open too.

    Example:
        >>> [power_of_two(number) for number in (0, 1, 3, 49, 64)]
        [1, 1, 4, 64, 64]
    """
    power = 1
    while power < number:
        power *= 2
    return power


def _strides(tensor: Tensor, *, merged: bool) -> Strides | None:
    """Give the strides of a view, or None if the spatial dimensions, or they and the samples, do not join."""
    dims = [0, *range(2, tensor.ndim)] if merged else list(range(2, tensor.ndim))
    joined = 0
    span = None
    for dim in reversed(dims):
        size, stride = tensor.shape[dim], tensor.stride(dim)
        if size == 1:
            continue
        if span is None:
            joined = stride
        elif stride != span:
            return None
        span = size * stride
    if span is None:
        joined = 1
    outer = 0 if merged else tensor.stride(0)
    return Strides(outer, tensor.stride(1), joined)
