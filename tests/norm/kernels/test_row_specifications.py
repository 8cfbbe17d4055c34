"""The row kernels compiled for GPUs that are not here: nothing spills, and rows go 16 bytes at a time."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from lightning_tune.norm.kernels.row_specifications import specifications

CHOSEN = [
    f"{operation} {columns} {storage}"
    for operation in ("layer_norm_forward", "layer_norm_backward")
    for columns in (768, 1024, 4096, 8192)
    for storage in ("bfloat16", "float32")
] + [
    "rms_norm_forward 4096 bfloat16",
    "add_layer_norm_backward 8192 float32",
    "add_layer_norm_backward_from_output 8192 bfloat16",
    "add_rms_norm_backward_from_output 4096 float32",
    "moments_wide bfloat16",
    "merge_wide float32",
    "normalise_wide bfloat16",
    "sums_wide float32",
    "gradient_wide bfloat16",
    "add_parts float32",
]


def test_every_case_is_there_once() -> None:
    names = [specification.name for specification in specifications()]
    assert len(set(names)) == len(names)
    assert set(CHOSEN) <= set(names)


def test_signatures_are_complete() -> None:
    """Every argument of a kernel has a type, and those that are constants a value."""
    for one in specifications():
        assert list(one.signature) == list(one.kernel.arg_names)
        constants = {name for name, kind in one.signature.items() if kind == "constexpr"}
        assert constants == set(one.constants)
        storage = {"bfloat16": "*bf16", "float32": "*fp32"}[one.name.split()[-1]]
        assert all(one.signature.get(name, storage) == storage for name in ("x", "y", "weight", "grad_x"))


@pytest.mark.parametrize("capability", [80, 90])
def test_nothing_spills(
    capability: int, compiled: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    module = "lightning_tune.norm.kernels.rows"
    lines = compiled("-m", "lightning_tune.norm.kernels.ahead", module, str(capability), *CHOSEN).splitlines()
    found = {one["name"]: one for one in map(json.loads, lines)}
    assert set(found) == set(CHOSEN)
    assert {name: one["spilled_bytes"] for name, one in found.items() if one["spilled_bytes"]} == {}
    for name, one in found.items():
        assert one["access_bits"]["load 128"] >= 2, name
        # sums may be stored otherwise
        sums = any(word in name for word in ("parts", "merge", "sums"))
        assert one["access_bits"].get("store 128", 0) >= 1 or sums, name
