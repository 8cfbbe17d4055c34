"""Starting kernels, and operators of torch that do."""

import pytest
import torch
import triton
import triton.language as tl
from torch._subclasses.fake_tensor import FakeTensorMode

from lightning_tune.norm.kernels.launch import Specification, interpreted, launch, operator


@triton.jit
def double(x, y, size, BLOCK: tl.constexpr):  # type: ignore[no-untyped-def]
    place = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    tl.store(y + place, tl.load(x + place, mask=place < size) * 2, mask=place < size)


@operator("lightning_tune_test::double")
def doubled(x: torch.Tensor) -> torch.Tensor:
    y = torch.empty_like(x)
    launch(double, (triton.cdiv(x.numel(), 16),), x, y, x.numel(), BLOCK=16)
    return y


def test_a_kernel_runs(device: torch.device) -> None:
    x = torch.arange(35.0, device=device)
    assert torch.equal(doubled(x), 2 * x)
    assert interpreted() == (device.type == "cpu")


def test_an_empty_grid_starts_nothing(device: torch.device) -> None:
    assert doubled(torch.empty(0, device=device)).numel() == 0


def test_fake_tensors_only_tell_shapes(device: torch.device) -> None:
    with FakeTensorMode():
        assert doubled(torch.empty(3, 5, device=device)).shape == (3, 5)


def test_the_operator_can_be_compiled(device: torch.device) -> None:
    function = torch.compile(lambda x: doubled(x) + 1, fullgraph=True, backend="aot_eager")
    x = torch.arange(20.0, device=device)
    assert torch.equal(function(x), 2 * x + 1)


def test_the_operator_is_torchs(device: torch.device) -> None:
    x = torch.arange(4.0, device=device)
    assert torch.equal(torch.ops.lightning_tune_test.double(x), 2 * x)
    torch.library.opcheck(torch.ops.lightning_tune_test.double.default, (x,))


def test_a_specification_does_not_change() -> None:
    one = Specification(name="double", kernel=double, signature={"x": "*fp32"}, constants={}, num_warps=4)
    with pytest.raises(AttributeError):
        one.name = "other"  # type: ignore[misc]
