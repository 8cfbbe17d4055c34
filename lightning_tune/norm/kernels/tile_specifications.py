"""What the kernels of batch and group norm are compiled for in usual cases, also without a GPU."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from lightning_tune.norm.kernels import channel_gradient_kernels, channel_kernels, group_kernels
from lightning_tune.norm.kernels.geometry import Cut, View
from lightning_tune.norm.kernels.launch import Specification
from lightning_tune.norm.kernels.tile_launch import MERGE, Shared

_STORAGE = {"bf16": torch.bfloat16, "fp32": torch.float32}
_ORDERS = {"": torch.contiguous_format, "_channels_last": torch.channels_last}
_IMAGES = (64, 64, 56, 56)
_ROWS = (256, 512)
_SMALL_WIDTH, _LARGE_WIDTH = 2, 16
_FLOAT32 = {"mean", "var", "rstd", "moments"}


def channel_specifications() -> Sequence[Specification]:
    """List the batch norm kernels: images, contiguous and channels-last, and a small batch of vectors."""
    found: list[Specification] = []
    for storage in _STORAGE:
        for order, memory in _ORDERS.items():
            view = View(_tensor(_IMAGES, storage).to(memory_format=memory))
            found += _shared("batch_norm", order, storage, Shared(view), Shared(view, tensors=2))
        view = View(_tensor(_ROWS, storage))
        forward, backward = view.whole(), view.whole(tensors=2)
        values = _values(view, view.sizes, 1)
        kernels = (channel_kernels.whole_channels, channel_gradient_kernels.whole_channel_gradients)
        found += [
            _specification("batch_norm_whole", kernels[0], storage, forward, values),
            _specification("batch_norm_whole_backward", kernels[1], storage, backward, values),
        ]
    return [*found, _merge(1)]


def group_specifications() -> Sequence[Specification]:
    """List the group norm kernels: images, contiguous and channels-last, groups small and large."""
    found: list[Specification] = []
    for storage in _STORAGE:
        for order, memory in _ORDERS.items():
            view = View(_tensor(_IMAGES, storage).to(memory_format=memory), merge=False)
            shared = Shared(view, _LARGE_WIDTH)
            found += _shared("group_norm", order, storage, shared, shared)
        view = View(_tensor(_IMAGES, storage), merge=False)
        forward, backward = view.whole_group(_SMALL_WIDTH), view.whole_group(_SMALL_WIDTH, tensors=2)
        values = _values(view, view.sizes, _SMALL_WIDTH)
        kernels = (group_kernels.whole_groups, group_kernels.whole_group_gradients)
        found += [
            _specification("group_norm_whole", kernels[0], storage, forward, values),
            _specification("group_norm_whole_backward", kernels[1], storage, backward, values),
        ]
    return [*found, _merge(_LARGE_WIDTH)]


def _tensor(shape: tuple[int, ...], storage: str) -> Tensor:
    return torch.empty(shape, dtype=_STORAGE[storage], device="meta")


def _shared(
    name: str, order: str, storage: str, forward: Shared, backward: Shared
) -> Sequence[Specification]:
    """List the kernels in which programs share a statistic; GELU is the activation that takes most."""
    kernels: list[tuple[str, Any, Shared, dict[str, Any]]] = [
        ("moments", channel_kernels.channel_moments, forward, {}),
        ("normalise", channel_kernels.normalise_channels, forward, {}),
        ("sums", channel_gradient_kernels.channel_sums, backward, {}),
        ("gradient", channel_gradient_kernels.channel_gradient, backward, {}),
    ]
    if forward.width == 1:
        evaluation = ("eval_backward", channel_gradient_kernels.channel_sums, backward, {"WRITE": True})
        kernels.append(evaluation)
    return [
        _specification(
            f"{name}_{part}{order}",
            kernel,
            storage,
            shared.cut,
            _values(shared.view, shared.sizes[1:], shared.width) | more,
        )
        for part, kernel, shared, more in kernels
    ]


def _values(view: View, sizes: Sequence[int], width: int) -> dict[str, Any]:
    """Give the values of arguments and constants by their names; all tensors lie like the view's."""
    activation = 3 if width == 1 else 0
    values = {"HAS_WEIGHT": True, "HAS_BIAS": width == 1, "ACTIVATION": activation, "WRITE": False}
    values |= {"SUMS_ARE_WEIGHTED": width != 1, "width": width, "groups": view.sizes.channels // width}
    values["rows"] = view.sizes.outer * values["groups"]
    values |= dict(zip(("outer", "channels", "positions"), sizes, strict=True))
    for tensor in ("x", "y", "grad", "out"):
        ends = (f"{tensor}_outer", f"{tensor}_channel", f"{tensor}_position")
        values |= dict(zip(ends, view.strides, strict=True))
    return values


def _specification(
    name: str, kernel: Any, storage: str, cut: Cut | None, values: Mapping[str, Any]
) -> Specification:
    """Tell a kernel's types and constants from the names; a size or stride of 1 is a constant."""
    if cut is None:
        raise AssertionError(f"{name}: what is listed as whole does not fit in a tile")
    values = {**values, **cut.constants()}
    constants = {
        key: values[key] for key in kernel.arg_names if key in values and (key.isupper() or values[key] == 1)
    }
    return Specification(
        name=f"{name} {storage}",
        kernel=kernel,
        signature={
            key: "constexpr" if key in constants else _kind(key, storage, values) for key in kernel.arg_names
        },
        constants=constants,
        num_warps=cut.warps,
    )


def _kind(name: str, storage: str, values: Mapping[str, Any]) -> str:
    if name in values:
        return "i32"
    if name == "eps":
        return "fp32"
    if name in _FLOAT32 or name.endswith(("_parts", "_sum")):
        return "*fp32"
    return f"*{storage}"


def _merge(width: int) -> Specification:
    values = {"parts": 0, "rows": 0, "width": width}
    cut = Cut(1, 1, 1, 1, MERGE["num_warps"])
    return _specification(
        f"merge_moments_{width}", channel_kernels.merge_moments, "fp32", cut, values | MERGE
    )
