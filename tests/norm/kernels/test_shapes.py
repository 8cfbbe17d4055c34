"""Between torch's shapes and matrices."""

import pytest
import torch

from lightning_tune.norm.kernels import shapes


@pytest.mark.parametrize(
    ("size", "normalized", "leading", "matrix"),
    [
        ((2, 3, 4), (4,), (2, 3), (6, 4)),
        ((2, 3, 4), (3, 4), (2,), (2, 12)),
        ((3, 4), (3, 4), (), (1, 12)),
        ((0, 4), (4,), (0,), (0, 4)),
        ((3, 0), (0,), (3,), (3, 0)),
        ((2, 0, 4), (4,), (2, 0), (0, 4)),
    ],
)
def test_a_row_is_the_last_dimensions(
    size: tuple[int, ...], normalized: tuple[int, ...], leading: tuple[int, ...], matrix: tuple[int, int]
) -> None:
    tensor = torch.zeros(size)
    found = shapes.leading_shape(tensor, normalized)
    assert tuple(found) == leading
    assert tuple(shapes.as_matrix(tensor, found).shape) == matrix


def test_a_matrix_is_a_view_where_there_is_one() -> None:
    """Every second sample of a batch, and columns first: no copy."""
    batch = torch.zeros(6, 3, 4)[::2].transpose(1, 2)
    assert shapes.as_matrix(batch, batch.shape[:1]).data_ptr() != batch.data_ptr()  # 3 x 4 turned: none here
    for tensor in (torch.zeros(6, 4)[::2], torch.zeros(4, 6).t(), torch.zeros(2, 3, 4)[..., ::2]):
        assert shapes.as_matrix(tensor, tensor.shape[:-1]).data_ptr() == tensor.data_ptr()


def test_parameters_and_their_gradients() -> None:
    weight = torch.arange(6.0).view(2, 3)
    vector = shapes.as_vector(weight)
    assert vector is not None
    assert torch.equal(shapes.as_row(vector, weight.shape, weight), weight)
    assert shapes.as_vector(None) is None
    absent = shapes.as_row(None, weight.shape, weight)
    assert absent.numel() == 0
    assert shapes.none_if_absent(absent, False) is None
    assert shapes.none_if_absent(vector, True) is vector


def test_an_absent_tensor_has_a_stand_in() -> None:
    one, other = torch.zeros(1), torch.zeros(2)
    assert shapes.or_else(None, other) is other
    assert shapes.or_else(one, other) is one


def test_the_output_has_the_type_of_the_sum() -> None:
    half, single = torch.zeros(1, dtype=torch.bfloat16), torch.zeros(1)
    assert shapes.output_dtype(half) == torch.bfloat16
    assert shapes.output_dtype(half, half) == torch.bfloat16
    assert shapes.output_dtype(half, single) == torch.float32
    with torch.autocast("cpu", torch.bfloat16):  # torch's norms on a CPU keep the input's type
        assert shapes.output_dtype(half) == torch.nn.functional.layer_norm(half, (1,)).dtype


def test_the_output_is_float32_under_autocast_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """As torch's list of operators that autocast runs in float32 has it."""
    from torch._subclasses.fake_tensor import FakeTensorMode

    monkeypatch.setattr(torch, "is_autocast_enabled", lambda kind: kind == "cuda")
    with FakeTensorMode():
        assert shapes.output_dtype(torch.empty(1, dtype=torch.float16, device="cuda")) == torch.float32
        assert shapes.output_dtype(torch.empty(1, dtype=torch.float16)) == torch.float16


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_default_eps_is_torchs(dtype: torch.dtype) -> None:
    """Of values so small that eps decides."""
    x = torch.full((1, 4), 1e-4, dtype=dtype)
    expected = torch.nn.functional.rms_norm(x, (4,), eps=None)
    found = x.float() * (x.float().square().mean() + shapes.rms_eps(None)).rsqrt()
    torch.testing.assert_close(found.to(dtype), expected, rtol=2 * torch.finfo(dtype).eps, atol=0)
    assert shapes.rms_eps(0.5) == 0.5
