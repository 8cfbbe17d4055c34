"""Calling the kernels: what goes in and comes out, on values that can be worked out by hand."""

import pytest
import torch

from lightning_tune.norm.cpp import calls
from lightning_tune.norm.cpp.calls import ChannelNorm, row_norm, row_norm_backward, wide_type


def test_wide_type() -> None:
    assert wide_type(torch.bfloat16) == wide_type(torch.float32) == torch.float32
    assert wide_type(torch.float64) == torch.float64


def test_rows_by_hand() -> None:
    """Rows (1, 3) and (2, 10) with means 2 and 6, deviations 1 and 4."""
    ones = torch.ones(2, 2)
    rows = torch.tensor([[0.0, 2.0], [1.0, 9.0]])
    output, total, statistics = row_norm(
        rows, ones, torch.tensor([2.0, 1.0]), None, 2, 2, 0.0, centred=True, with_mean=True
    )
    assert output.tolist() == [[-2, 1], [-2, 1]]
    assert total.tolist() == [[1, 3], [2, 10]]
    assert statistics.tolist() == [[2, 6], [1, 0.25]]
    upper = torch.tensor([[1.0, 0.0], [0.0, 0.0]])
    bias = torch.zeros(2)
    grad, grad_weight, grad_bias = row_norm_backward(
        upper, ones, total, None, bias, statistics, 2, centred=True, recovers=False
    )
    assert grad.tolist() == [[1, 1], [1, 1]]  # (1, 0) less its mean and its projection on (-1, 1) is 0
    assert grad_weight is None
    assert grad_bias is not None
    assert grad_bias.tolist() == [1, 0]


def test_root_mean_square_by_hand() -> None:
    """The mean square of (1, 7) is 25."""
    input = torch.tensor([[1.0, 7.0]])
    output, total, statistics = row_norm(input, None, None, None, 1, 2, 0.0, centred=False, with_mean=False)
    torch.testing.assert_close(output, torch.tensor([[0.2, 1.4]]))
    torch.testing.assert_close(statistics, torch.tensor([[0.2]]))
    assert total is input


def test_channels_by_hand() -> None:
    """A channel of (1, 5): mean 3, deviation 2, unbiased variance 8."""
    norm = ChannelNorm("relu", training=True, momentum=0.5, eps=0.0)
    mean, var = torch.zeros(1), torch.ones(1)
    before = mean._version
    output, batch_mean, rstd = norm.forward(torch.tensor([[1.0], [5.0]]), None, None, mean, var)
    assert output.tolist() == [[0], [1]]
    assert (batch_mean.tolist(), rstd.tolist()) == ([3], [0.5])
    assert (mean.tolist(), var.tolist()) == ([1.5], [4.5])
    assert mean._version > before


def test_bfloat16_is_rounded_to_the_nearest_even() -> None:
    """Against torch's own rounding, of values of every size; an evaluation that adds 0 hands them through."""
    generator = torch.Generator().manual_seed(0)
    wide = torch.randn(4096, generator=generator) * torch.logspace(-30, 30, 4096)
    half_way = torch.tensor([1.00390625, 1.01171875, -1.00390625])  # between two neighbours
    values = torch.cat([wide, half_way])
    residual = (values - values.bfloat16().float()).bfloat16()  # what is missing: the sum is rounded again
    options = {"centred": False, "with_mean": False}
    total = row_norm(values.bfloat16(), residual, None, None, 4099, 1, 0.0, **options)[1]
    assert torch.equal(total, values.bfloat16() + residual)


def test_threads_are_as_many_as_the_input_is_worth(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 4)
    worth = [calls._threads(torch.empty(size * calls.VALUES_A_THREAD)) for size in (0, 1, 2, 3, 9)]
    assert worth == [1, 1, 2, 3, 4]


def test_what_can_be_read() -> None:
    plain = torch.ones(2, 3)
    assert calls.readable(torch.float32, plain, None, torch.empty(0))
    assert not calls.readable(torch.float64, plain)
    assert not calls.readable(torch.float32, plain, torch._neg_view(plain))
    assert not calls.readable(torch.float32, torch._efficientzerotensor((2, 3)))
    assert not calls.readable(torch.float32, plain.to("meta"))


def test_a_lack_of_memory_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    class Kernels:
        row_norm_forward = row_norm_backward = staticmethod(lambda *_: 1)
        batch_norm_act_forward = batch_norm_act_backward = row_norm_forward

    monkeypatch.setattr(calls, "_kernels", Kernels)
    values, norm = torch.ones(2, 3), ChannelNorm("none", training=True, momentum=0.1, eps=1e-5)
    for call in (
        lambda: row_norm(values, None, None, None, 2, 3, 1e-5, centred=False, with_mean=False),
        lambda: row_norm_backward(
            values, None, values, None, None, torch.ones(1, 2), 3, centred=False, recovers=False
        ),
        lambda: norm.forward(values, None, None, None, None),
        lambda: norm.backward(values, values, None, None, torch.ones(3), torch.ones(3)),
    ):
        with pytest.raises(MemoryError, match="found no memory"):
            call()
