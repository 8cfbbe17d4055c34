"""Compiling for a GPU that is not here, on kernels of which one knows what they take."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from lightning_tune.norm.kernels.ahead import _accesses

KNOWN = """
import triton
import triton.language as tl
from lightning_tune.norm.kernels.launch import Specification

@triton.jit
def copy(x, y, rows, COLUMNS: tl.constexpr):
    place = tl.program_id(0) * COLUMNS + tl.arange(0, COLUMNS)
    tl.store(y + place, tl.load(x + place))

@triton.jit
def hoard(x, y, rows, COLUMNS: tl.constexpr):
    place = tl.arange(0, COLUMNS)
    total = tl.zeros((COLUMNS,), tl.float32)
    held = tl.load(x + place)
    for row in range(rows):
        total += tl.load(x + row * COLUMNS + place) * held
    tl.store(y + place, total + held)

def specification(name, kernel, kind, columns, warps):
    signature = {"x": kind, "y": kind, "rows": "i32", "COLUMNS": "constexpr"}
    return Specification(
        name=name, kernel=kernel, signature=signature, constants={"COLUMNS": columns}, num_warps=warps
    )

def specifications():
    return [
        specification("wide", copy, "*fp32", 1024, 4),
        specification("half", copy, "*bf16", 2048, 4),
        specification("narrow", copy, "*fp32", 128, 4),
        specification("too much", hoard, "*fp32", 8192, 1),
    ]
"""


@pytest.fixture
def known(
    compiled: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> dict[str, dict[str, object]]:
    (tmp_path / "known_kernels.py").write_text(KNOWN, encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=":")
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path / "cache"))
    lines = compiled("-m", "lightning_tune.norm.kernels.ahead", "known_kernels", "90").splitlines()
    return {found["name"]: found for found in map(json.loads, lines)}


def test_what_kernels_take(known: dict[str, dict[str, object]]) -> None:
    """A copy of 8 numbers a thread; of one; and a kernel that holds 512, more than a thread has registers."""
    assert known["wide"]["access_bits"] == {"load 128": 2, "store 128": 2}
    assert known["half"]["access_bits"] == {"load 128": 2, "store 128": 2}
    assert known["narrow"]["access_bits"] == {"load 32": 1, "store 32": 1}
    assert [known[name]["spilled_bytes"] for name in ("wide", "half", "narrow")] == [0, 0, 0]
    assert known["too much"]["spilled_bytes"] > 0  # type: ignore[operator]
    assert {found["capability"] for found in known.values()} == {90}


def test_widths_are_read_from_the_assembly() -> None:
    ptx = """
        @%p1 ld.global.v4.b32 { %r1, %r2, %r3, %r4 }, [ %rd1 + 0 ];
        ld.global.L1::evict_last.v2.b64 { %rd3, %rd4 }, [ %rd1 + 0 ];
        @%p2 st.global.b16 [ %rd2 + 0 ], { %rs1 };
        ld.shared.v4.b32 {%r9, %r10, %r11, %r12}, [%r13];
        st.global.v2.f32 [ %rd2 + 0 ], { %f1, %f2 };
    """
    assert _accesses(ptx) == {"load 128": 2, "store 16": 1, "store 64": 1}
