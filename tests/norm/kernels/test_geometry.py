"""How tensors are viewed and cut, against the tensors' own elements."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from lightning_tune.norm.kernels.geometry import Strides, View, power_of_two, tile


def seen(tensor: Tensor, sizes: tuple[int, int, int], strides: Strides) -> Tensor:
    """The view's elements as (outer, channels, positions)."""
    return tensor.as_strided(sizes, strides, tensor.storage_offset())


@st.composite
def tensors(draw: st.DrawFn) -> Tensor:
    """Tensors of 2 to 5 dimensions, permuted, sliced and expanded."""
    shape = draw(st.lists(st.integers(1, 4), min_size=2, max_size=5))
    order = draw(st.permutations(range(len(shape))))
    steps = draw(st.lists(st.sampled_from([1, 1, 1, 2]), min_size=len(shape), max_size=len(shape)))
    large = [size * step for size, step in zip(shape, steps, strict=True)]
    dense = torch.arange(torch.Size(large).numel()).reshape([large[dim] for dim in order])
    tensor = dense.permute([order.index(dim) for dim in range(len(shape))])
    tensor = tensor[tuple(slice(None, None, step) for step in steps)]
    dim = draw(st.none() | st.integers(0, len(shape) - 1))
    return tensor if dim is None else tensor.narrow(dim, 0, 1).expand(tensor.shape)


@settings(deadline=None, max_examples=300)
@given(tensors(), st.booleans())
def test_a_view_has_the_elements_of_every_channel_in_order(tensor: Tensor, merge: bool) -> None:
    view = View(tensor, merge=merge)
    found = seen(view.tensor, view.sizes, view.strides)
    assert torch.equal(found.movedim(1, 0).flatten(1), tensor.movedim(1, 0).flatten(1))
    if not merge:
        assert view.sizes.outer == tensor.shape[0]


@settings(deadline=None, max_examples=300)
@given(tensors(), st.booleans(), st.permutations(range(4)))
def test_another_tensor_is_seen_the_same_way(tensor: Tensor, merge: bool, order: list[int]) -> None:
    view = View(tensor, merge=merge)
    room, strides = view.empty()
    room.copy_(tensor)
    values = torch.randint(99, tensor.shape)
    dims = [dim for dim in order if dim < tensor.ndim] + list(range(4, tensor.ndim))
    other = values.permute(dims).contiguous().permute([dims.index(dim) for dim in range(tensor.ndim)])
    near, near_strides = view.like(other)
    for found, wanted, steps in ((room, tensor, strides), (near, other, near_strides)):
        elements = seen(found, view.sizes, steps)
        assert torch.equal(elements.movedim(1, 0).flatten(1), wanted.movedim(1, 0).flatten(1))


@pytest.mark.parametrize("shape", [(2, 3, 8, 9), (4, 5), (2, 3, 4, 5, 6), (1, 3, 7, 7), (3, 1, 7, 7)])
def test_contiguous_and_channels_last_are_not_copied(shape: tuple[int, ...]) -> None:
    tensor = torch.randn(shape)
    last = torch.empty_like(tensor.movedim(1, -1)).movedim(-1, 1).copy_(tensor)
    for each in (tensor, last):
        for merge in (True, False):
            view = View(each, merge=merge)
            assert view.tensor is each
            assert view.empty()[0].is_contiguous() == each.is_contiguous()
            assert view.like(each)[0] is each


def test_positions_of_a_channels_last_batch_are_one_dimension() -> None:
    batch = torch.randn(8, 16, 5, 6).to(memory_format=torch.channels_last)
    assert View(batch).sizes == (1, 16, 240)
    assert View(batch).strides == (0, 1, 16)
    assert View(batch.contiguous()).sizes == (8, 16, 30)


def test_an_expanded_gradient_is_not_copied() -> None:
    view = View(torch.randn(2, 3, 4, 5))
    grad = torch.ones(()).expand(2, 3, 4, 5)
    assert view.like(grad)[0] is grad


@settings(deadline=None)
@given(st.integers(0, 5000), st.integers(0, 500_000), st.sampled_from([2, 4]), st.booleans())
def test_tiles_are_powers_of_two_and_no_larger_than_given(
    channels: int, positions: int, itemsize: int, channels_last: bool
) -> None:
    sizes = tile(channels, positions, itemsize, 2048, channels_last=channels_last)
    for size in sizes:
        assert size == power_of_two(size)
    assert sizes[0] * sizes[1] <= 2048
    assert sizes[0] < 2 * max(channels, 1)
    assert sizes[1] < 2 * max(positions, 1)


def test_a_tile_wastes_few_lanes_where_it_can() -> None:
    """56 x 56 positions are 6.125 times 512, and 3.06 times 1024."""
    assert tile(64, 3136, 2, 4096, channels_last=False) == (8, 512)
    assert tile(64, 4096, 2, 4096, channels_last=False) == (4, 1024)
    assert tile(64, 200704, 2, 4096, channels_last=True) == (64, 64)
    assert tile(64, 200704, 4, 4096, channels_last=True) == (32, 128)


def test_whole_channels_and_groups_only_where_they_fit() -> None:
    assert View(torch.empty(256, 512)).whole() is not None
    assert View(torch.empty(4096, 1024)).whole() is None
    assert View(torch.empty(64, 64, 56, 56)).whole() is None
    images = View(torch.empty(4, 64, 56, 56), merge=False)
    assert images.whole_group(2) is not None
    assert images.whole_group(4) is None


def test_groups_that_lie_scattered_are_read_by_whole_samples() -> None:
    """Two channels of 64 in a row are 8 bytes of the 32 that memory gives at once."""
    images = torch.empty(4, 64, 8, 8).to(memory_format=torch.channels_last)
    assert View(images, merge=False).whole_group(2) is None
    assert View(images, merge=False).whole_group(8) is not None


@pytest.mark.parametrize("itemsize", [2, 4])
@pytest.mark.parametrize("size", [(16, 64, 56, 56), (64, 64, 56, 56), (32, 512, 7, 7), (4096, 1024)])
@pytest.mark.parametrize("tensors", [1, 2])
def test_what_programs_store_of_a_channel_is_little(
    size: tuple[int, ...], itemsize: int, tensors: int
) -> None:
    """Count, mean and squares, or two sums, are written and read once: under 5 % of the tensors."""
    batch = torch.empty(size, dtype={2: torch.bfloat16, 4: torch.float32}[itemsize], device="meta")
    for last in (False, True):
        if last and batch.ndim == 4:
            batch = batch.to(memory_format=torch.channels_last)
        view = View(batch)
        cut = view.cut(tensors=tensors)
        stored = 2 * {1: 12, 2: 8}[tensors] * cut.parts * view.sizes.channels
        passes = {1: 3, 2: 5}[tensors]
        assert stored <= 0.05 * passes * batch.numel() * itemsize
