"""What the row kernels are compiled for in usual cases, for tests and benchmarks where no GPU is."""

from collections.abc import Mapping, Sequence
from typing import Any

from lightning_tune.norm.kernels.launch import Specification
from lightning_tune.norm.kernels.row_kernels import add_parts, backward_rows, forward_rows
from lightning_tune.norm.kernels.row_launch import ADD_PARTS, ADD_WIDE_PARTS
from lightning_tune.norm.kernels.row_tiles import BACKWARD, FORWARD, Pass, tiles, wide_tiles
from lightning_tune.norm.kernels.wide_row_kernels import (
    gradient_wide,
    merge_wide,
    moments_wide,
    normalise_wide,
    sums_wide,
)
from lightning_tune.norm.kernels.wide_row_launch import MERGE

_COLUMNS = (768, 1024, 4096, 8192)
_STORAGE = {"bfloat16": ("bf16", 2), "float32": ("fp32", 4)}
_ROWS, _WIDE_COLUMNS = 16384, 65536
_LAYER = {"CENTRED": True, "ADD": False, "HAS_WEIGHT": True, "HAS_BIAS": True}
_RMS = {"CENTRED": False, "ADD": False, "HAS_WEIGHT": True, "HAS_BIAS": False}
_ADD = {"ADD": True}
_KEPT = {"FROM_OUTPUT": False}
_OUTPUT = {"FROM_OUTPUT": True}
_FLOAT32 = {"mean", "rstd", "slope", "level"}
_SIZES = {"rows", "columns", "parts", "blocks", "block_columns"}


def specifications() -> Sequence[Specification]:
    """List each row kernel as it is compiled at usual widths, in bfloat16 and float32, contiguous rows."""
    found = []
    for storage in _STORAGE:
        for columns in _COLUMNS:
            for name, flags in (("layer_norm", _LAYER), ("rms_norm", _RMS)):
                for prefix, add in (("", {}), ("add_", _ADD)):
                    case = (columns, storage, {**flags, **add})
                    found += [
                        _narrow(f"{prefix}{name}_forward", forward_rows, FORWARD, *case),
                        _narrow(f"{prefix}{name}_backward", backward_rows, BACKWARD, *case, _KEPT),
                    ]
                case = (columns, storage, {**flags, **_ADD})
                found.append(
                    _narrow(f"add_{name}_backward_from_output", backward_rows, BACKWARD, *case, _OUTPUT)
                )
        found += _wide(storage)
        found += [
            _specification("add_parts", add_parts, storage, {**_LAYER, **ADD_PARTS}),
            _specification("add_parts_wide", add_parts, storage, {**_LAYER, **ADD_WIDE_PARTS}),
        ]
    return found


def _wide(storage: str) -> Sequence[Specification]:
    cut = wide_tiles(_ROWS, _WIDE_COLUMNS).constants
    everything = {**_LAYER, **_ADD, **_OUTPUT, **cut}
    kernels = (moments_wide, normalise_wide, sums_wide, gradient_wide)
    return [
        *(_specification(kernel.__name__, kernel, storage, everything) for kernel in kernels),
        _specification("sums_wide_from_input", sums_wide, storage, {**everything, **_KEPT}),
        _specification("gradient_wide_from_input", gradient_wide, storage, {**everything, **_KEPT}),
        _specification("merge_wide", merge_wide, storage, {**_LAYER, **MERGE}),
    ]


def _narrow(
    name: str,
    kernel: Any,
    part: Pass,
    columns: int,
    storage: str,
    flags: Mapping[str, Any],
    more: Mapping[str, Any] | None = None,
) -> Specification:
    cut = tiles(part, _ROWS, columns, _STORAGE[storage][1])
    constants = {**flags, **(more or {}), **cut.constants}
    return _specification(f"{name} {columns}", kernel, storage, constants)


def _specification(name: str, kernel: Any, storage: str, values: Mapping[str, Any]) -> Specification:
    """Tell the types of a kernel's arguments from their names; rows are contiguous."""
    constants = {key: value for key, value in values.items() if key in kernel.arg_names}
    constants |= {key: 1 for key in kernel.arg_names if key.endswith("_column")}
    return Specification(
        name=f"{name} {storage}",
        kernel=kernel,
        signature={
            key: "constexpr" if key in constants else _kind(key, _STORAGE[storage][0])
            for key in kernel.arg_names
        },
        constants=constants,
        num_warps=values["num_warps"],
    )


def _kind(name: str, storage: str) -> str:
    if name in _SIZES or name.endswith("_row"):
        return "i32"
    if name == "eps":
        return "fp32"
    return "*fp32" if name in _FLOAT32 or name.endswith("_parts") else f"*{storage}"
