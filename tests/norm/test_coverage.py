"""What the kernels and the reference are given, against what torch refuses."""

import pytest
import torch
from torch.nn import functional

from lightning_tune.norm import coverage

x = torch.randn


def ints(*shape: int) -> torch.Tensor:
    return torch.ones(shape, dtype=torch.int64)


ROWS = [
    ("ends in", x(3, 4), [5], None, None),
    ("ends in", x(3, 4), [3, 4, 4], None, None),
    ("ends in", x(3, 4), [], None, None),
    ("shape", x(3, 4), [4], x(1), None),
    ("shape", x(3, 4), [4], x(4), x(5)),
    ("int64", ints(3, 4), [4], None, None),
]
GROUPS = [
    ("no channels", x(4), 2, None, None),
    ("split", x(2, 4), 3, None, None),
    ("split", x(2, 4), 0, None, None),
    ("deviation", x(1, 4), 4, None, None),
    ("shape", x(2, 4), 2, x(3), None),
    ("shape", x(2, 4), 2, x(4), x(2, 2)),
    ("int64", ints(2, 4, 3), 2, None, None),
]
CHANNELS = [
    ("no channels", x(4), None, None, None, None, True, 1e-5),
    ("deviation", x(1, 4), None, None, None, None, True, 1e-5),
    ("deviation", x(1, 4, 1), x(4), x(4), None, None, True, 1e-5),
    ("missing", x(3, 4), None, None, None, None, False, 1e-5),
    ("missing", x(3, 4), x(4), None, None, None, True, 1e-5),
    ("missing", x(3, 4), None, x(4), None, None, False, 1e-5),
    ("shape", x(3, 4), x(4), x(5), None, None, True, 1e-5),
    ("shape", x(3, 4), x(4), x(4), x(3), None, True, 1e-5),
    ("eps", x(3, 4), x(4), x(4), None, None, True, 0.0),
    ("eps", x(3, 4), x(4), x(4), None, None, False, -1.0),
    ("int64", ints(3, 4), x(4), x(4), None, None, False, 1e-5),
]
INSTANCES = [
    ("one position", x(2, 4), None, None, None, None, True),
    ("one position", x(2, 4, 1, 1), None, None, None, None, True),
    ("missing", x(2, 4, 3), None, None, None, None, False),
    ("missing", x(2, 4, 3), x(4), None, None, None, True),
    ("shape", x(2, 4, 3), x(4), x(3), None, None, True),
    ("shape", x(2, 4, 3), None, None, x(3), None, True),
]


@pytest.mark.parametrize("case", ROWS)
def test_rows_that_torch_refuses_are_not_covered(case):
    obstacle, *values = case
    assert obstacle.replace("ends in", "does not end in") in coverage.rows(*values)
    with pytest.raises((RuntimeError, NotImplementedError)):
        functional.layer_norm(*values)


@pytest.mark.parametrize("case", GROUPS)
def test_groups_that_torch_refuses_are_not_covered(case):
    obstacle, *values = case
    assert obstacle in coverage.groups(*values)
    with pytest.raises((RuntimeError, ValueError, ZeroDivisionError)):
        functional.group_norm(*values)


@pytest.mark.parametrize("case", CHANNELS)
def test_channels_that_torch_refuses_are_not_covered(case):
    obstacle, input, mean, var, weight, bias, training, eps = case
    assert obstacle in coverage.channels(input, mean, var, weight, bias, training, eps)
    with pytest.raises((RuntimeError, ValueError, IndexError, NotImplementedError)):
        functional.batch_norm(input, mean, var, weight, bias, training, 0.1, eps)


@pytest.mark.parametrize("case", INSTANCES)
def test_instances_that_torch_refuses_are_not_covered(case):
    obstacle, *values = case
    assert obstacle in coverage.instances(*values)
    with pytest.raises((RuntimeError, ValueError)):
        functional.instance_norm(*values)


def test_what_torch_takes_is_covered():
    assert coverage.rows(x(3, 4), (4,), x(4), x(4)) is None
    assert coverage.rows(x(4), [4], None) is None
    assert coverage.rows(x(3, 0), [0], None) is None
    assert coverage.rows(x(0, 4), [4], x(4)) is None
    assert coverage.groups(x(0, 4, 3), 2, x(4), None) is None
    assert coverage.groups(x(2, 4), 4, x(4), x(4)) is None
    assert coverage.channels(x(0, 4), None, None, None, None, True, 1e-5) is None
    assert coverage.channels(x(1, 4), x(4), x(4), None, None, False, 0.0) is None
    assert coverage.instances(x(2, 4, 1), x(4), x(4), None, None, False) is None
    assert coverage.sums(x(2, 4), x(2, 4), [4], x(4), x(4)) is None
    assert coverage.sums(x(1, 4), x(2, 1), [4], x(4), x(4)) is None


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
@pytest.mark.parametrize("other", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
def test_types_go_together_as_they_do_in_torch(dtype: torch.dtype, other: torch.dtype):
    """Parameters are of the input's type; or in single precision, where the input is half."""
    input, weight = x(3, 4).to(dtype), x(4).to(other)
    covered = coverage.channels(input, None, None, weight, weight, True, 1e-5) is None
    assert covered == (coverage.rows(input, [4], weight, weight) is None)
    try:
        functional.batch_norm(input, None, None, weight, weight, True)
    except RuntimeError:
        assert not covered
    else:
        assert covered


def test_tensors_that_are_no_arrays_are_not_covered():
    assert "layout" in coverage.rows(x(3, 4).to_sparse(), [4], None)
    nested = torch.nested.nested_tensor([x(2, 4), x(3, 4)], layout=torch.jagged)
    assert "the tensor" in coverage.rows(nested, [4], None)
    assert "on meta" in coverage.rows(x(3, 4), [4], torch.ones(4, device="meta"))


def test_sums():
    assert "cannot be added" in coverage.sums(x(2, 4), x(3, 4), [4], None)
    assert "does not end in" in coverage.sums(x(2, 4), x(4), [2, 2], None)
    assert "float64" in coverage.sums(x(2, 4), x(2, 4).double(), [4], None)
    assert "on meta" in coverage.sums(x(2, 4), torch.ones(2, 4, device="meta"), [4], None)
    half, single = x(2, 4).half(), x(2, 4)
    assert coverage.sums(half, single, [4], x(4)) is None
    assert "weight is torch.float16" in coverage.sums(half, single, [4], x(4).half())
