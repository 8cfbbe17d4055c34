"""Whether the kernels can take a tensor, asked without importing triton."""

import subprocess
import sys

import pytest
import torch

from lightning_tune.norm import kernels


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_what_the_kernels_take(dtype: torch.dtype, device: torch.device) -> None:
    assert kernels.usable(torch.zeros(1, dtype=dtype, device=device)) is None


def test_other_types_are_refused(device: torch.device) -> None:
    for dtype in (torch.float64, torch.int32):
        reason = kernels.usable(torch.zeros(1, dtype=dtype, device=device))
        assert reason is not None
        assert str(dtype) in reason


def test_other_devices_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "meta" in (kernels.usable(torch.zeros(1, device="meta")) or "")
    monkeypatch.setattr(kernels, "_interpreted", lambda: False)
    assert "cpu" in (kernels.usable(torch.zeros(1)) or "")


def test_without_triton(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "_triton_is_installed", lambda: False)
    assert "pip install" in (kernels.usable(torch.zeros(1)) or "")


def test_asking_imports_no_triton() -> None:
    """Where a type is refused; the module is loaded alone, whatever its package imports."""
    code = (
        "import importlib.util, sys, torch\n"
        f"spec = importlib.util.spec_from_file_location('kernels', {kernels.__file__!r})\n"
        "kernels = importlib.util.module_from_spec(spec)\n"
        "spec.loader.exec_module(kernels)\n"
        "assert kernels.usable(torch.zeros(1, dtype=torch.float64))\n"
        "print('triton' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
