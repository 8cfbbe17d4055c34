"""Instance and group norm, by each backend, against torch's."""

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as theirs
from torch.testing import assert_close

from lightning_tune.norm import functional as ours

BACKENDS = ("auto", "aten", "reference")
WITHIN = {torch.float64: 1e-12, torch.float32: 1e-5, torch.bfloat16: 2**-6, torch.float16: 2**-9}


def near(found: Tensor, wanted: Tensor) -> None:
    within = WITHIN[wanted.dtype]
    assert_close(found, wanted, rtol=within, atol=within)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("shape", [(5, 4), (2, 4, 3), (1, 4, 2, 1, 2), (0, 4, 2), (2, 4, 0)], ids=str)
@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize("dtype", WITHIN)
def test_groups(shape: tuple[int, ...], groups: int, dtype: torch.dtype, backend: Any):
    input, single = torch.randn(shape).to(dtype), torch.promote_types(dtype, torch.float32)
    weight, bias = torch.randn(4).to(single), torch.randn(4).to(single)
    near(ours.group_norm(input, groups, backend=backend), theirs.group_norm(input, groups))
    found = ours.group_norm(input, groups, weight, bias, 0.1, backend=backend)
    near(found, theirs.group_norm(input, groups, weight, bias, 0.1))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("shape", [(2, 4, 3), (3, 4, 3, 2), (1, 4, 2, 1, 2)], ids=str)
@pytest.mark.parametrize("own", [True, False])
@pytest.mark.parametrize("dtype", WITHIN)
def test_instances(shape: tuple[int, ...], own: bool, dtype: torch.dtype, backend: Any):
    input, single = torch.randn(shape).to(dtype), torch.promote_types(dtype, torch.float32)
    weight, bias = torch.randn(4).to(single), torch.randn(4).to(single)
    mine, other = ([torch.zeros(4).to(single), torch.ones(4).to(single)] for _ in range(2))
    near(ours.instance_norm(input, backend=backend), theirs.instance_norm(input))
    found = ours.instance_norm(input, *mine, weight, bias, own, 0.3, 0.1, backend=backend)
    near(found, theirs.instance_norm(input, *other, weight, bias, own, 0.3, 0.1))
    half = dtype in (torch.bfloat16, torch.float16)
    rounded = WITHIN[dtype] if half else 1e-5  # by torch, to the input's type
    assert_close(mine, other, rtol=rounded, atol=rounded)


def test_no_samples_leave_the_statistics():
    """Torch makes them NaN."""
    mean, var = torch.zeros(4), torch.ones(4)
    assert ours.instance_norm(torch.zeros(0, 4, 3), mean, var, backend="reference").shape == (0, 4, 3)
    assert (mean.tolist(), var.tolist()) == ([0.0] * 4, [1.0] * 4)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("given", WITHIN)
def test_types_under_autocast_are_torchs(given: torch.dtype, backend: Any):
    input = torch.randn(3, 4, 5).to(given)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert ours.group_norm(input, 2, backend=backend).dtype == theirs.group_norm(input, 2).dtype
        assert ours.instance_norm(input, backend=backend).dtype == theirs.instance_norm(input).dtype
