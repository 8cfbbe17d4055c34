"""What the kernels in C++ take, and why they refuse the rest."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.autograd import forward_ad

from lightning_tune import norm
from lightning_tune.errors import ArgumentError
from lightning_tune.norm import cpp
from lightning_tune.norm.cpp import build, channels_obstacle, channels_pay, rows_obstacle, rows_pay


class Tagged(Tensor):
    """Some subclass."""


def test_sound_tensors_are_taken() -> None:
    for dtype in (torch.float32, torch.bfloat16, torch.float64):
        input, weight = torch.ones(3, 4, dtype=dtype), nn.Parameter(torch.ones(4, dtype=dtype))
        assert rows_obstacle(input, input.clone(), weight, None) is None
        assert rows_obstacle(input, None) is None
        assert channels_obstacle(input, None, None, weight, weight) is None


@pytest.mark.parametrize(
    ("input", "residual", "parameters", "reason"),
    [
        (torch.ones(2, 3, dtype=torch.float16), None, (), "take no torch.float16"),
        (torch.ones(2, 3), torch.ones(3), (), "differ in shape or type"),
        (torch.ones(2, 3), torch.ones(2, 3, dtype=torch.float64), (), "differ in shape or type"),
        (torch.ones(2, 3, device="meta"), None, (), "on meta"),
        (torch.ones(2, 3).as_subclass(Tagged), None, (), "Tagged"),
        (torch.ones(2, 3), None, (torch.ones(3), torch.ones(3, dtype=torch.bfloat16)), "several types"),
        (torch.ones(2, 3), None, (torch.ones(6)[::2],), "one piece of memory"),
    ],
)
def test_what_they_do_not_take(
    input: Tensor, residual: Tensor | None, parameters: tuple[Tensor, ...], reason: str
) -> None:
    assert reason in str(rows_obstacle(input, residual, *parameters))


@pytest.fixture(params=["modes", "transforms", "forward"])
def looking(request: pytest.FixtureRequest) -> Iterator[str]:
    """Somebody wants to see torch's operators."""
    if request.param == "modes":
        with FakeTensorMode():
            yield "a mode"
    elif request.param == "forward":
        with forward_ad.dual_level():
            yield "forward-mode"
    else:
        level = torch._C._functorch._vmap_increment_nesting(2, "error")
        assert level == 1
        yield "transform"
        torch._C._functorch._vmap_decrement_nesting()


def test_nothing_is_done_behind_the_back_of_who_looks_at_operators(looking: str) -> None:
    assert looking in str(cpp.transforms_obstacle())


def test_where_rows_pay() -> None:
    large, half = torch.empty(1024, 1024), torch.empty(1024, 1024, dtype=torch.bfloat16)
    assert not rows_pay("layer_norm", large, [1024])
    assert rows_pay("layer_norm", half, [1024])
    assert not rows_pay("add_rms_norm", large.half(), [1024])
    assert rows_pay("add_rms_norm", large, [32])
    assert not rows_pay("add_rms_norm", large, [16])
    for operation in cpp.LEAST_COLUMNS:
        assert not rows_pay(operation, torch.empty(16), [16])
        assert rows_pay(operation, torch.empty(16), [16], always=True)
    small = torch.empty(64, 64)
    assert rows_pay("rms_norm", small, [64])
    with torch.no_grad():
        assert not rows_pay("rms_norm", small, [64])


def test_where_channels_pay() -> None:
    images = torch.empty(16, 64, 32, 32)
    for dtype, answer in ((torch.float32, True), (torch.bfloat16, True), (torch.float64, False)):
        assert channels_pay("batch_norm", images.to(dtype)) is answer
    assert not channels_pay("batch_norm", torch.empty(4, 1 << 20))  # four values a channel
    assert not channels_pay("batch_norm", torch.empty(64, 256, 15, 15, dtype=torch.bfloat16))
    narrow = images.bfloat16()
    assert channels_pay("batch_norm_act", narrow, "gelu")
    assert channels_pay("batch_norm_act", torch.empty(4), always=True)
    with torch.no_grad():
        assert not channels_pay("batch_norm", narrow)
        assert channels_pay("batch_norm_act", torch.empty(64, 64, 64, 64, dtype=torch.bfloat16), "relu")
        assert not channels_pay("batch_norm_act", torch.empty(64, 64, 64, 64, dtype=torch.bfloat16), "gelu")


def test_explain_and_what_is_called_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    """Large inputs go to the kernels, small ones to torch; and both where there is no compiler."""
    layers: list[tuple[nn.Module, tuple[int, ...], int]] = [
        (norm.RMSNorm(128), (64, 128), 1),
        (norm.AddRMSNorm(128), (64, 128), 2),
        (norm.AddLayerNorm(256), (512, 256), 2),
        (norm.BatchNorm2d(16), (16, 16, 32, 32), 1),
        (norm.BatchNormAct2d(16), (16, 16, 32, 32), 1),
    ]
    called = []
    for name in ("_ROW_NORM", "_BATCH_NORM_ACT"):
        module = f"lightning_tune.norm.cpp.{'rows' if 'ROW' in name else 'channels'}"
        original = getattr(__import__(module, fromlist=["x"]), name)
        monkeypatch.setattr(
            f"{module}.{name}", lambda *given, original=original: called.append(1) or original(*given)
        )
    for layer, shape, inputs in layers:
        for given, answer in ((shape, "cpp"), ((1, *shape[1:]), "aten")):
            called.clear()
            path = norm.explain(layer, torch.ones(given))
            layer(*[torch.randn(given)] * inputs)
            assert (path.backend, bool(called)) == (answer, answer == "cpp"), type(layer).__name__
        with monkeypatch.context() as patch:
            patch.setattr(build, "trouble", lambda: "there is no compiler")
            called.clear()
            layer(*[torch.randn(shape)] * inputs)
            assert str(norm.explain(layer, torch.ones(shape))) == "aten: there is no compiler"
            assert not called


def test_asked_for_by_name_they_compute_or_say_why_not(monkeypatch: pytest.MonkeyPatch) -> None:
    layer = norm.LayerNorm(4, backend="cpp")
    assert torch.allclose(layer(torch.eye(4)), nn.LayerNorm(4)(torch.eye(4)))
    with pytest.raises(ArgumentError, match=r"can't be honoured for group_norm: there is no such kernel"):
        norm.GroupNorm(2, 4, backend="cpp")(torch.ones(2, 4, 3))
    with pytest.raises(ArgumentError, match="float16"):
        norm.RMSNorm(4, backend="cpp", dtype=torch.float16)(torch.ones(2, 4, dtype=torch.float16))
    monkeypatch.setattr(build, "trouble", lambda: "no C++ compiler was found")
    with pytest.raises(ArgumentError, match="rms_norm: no C\\+\\+ compiler was found"):
        norm.RMSNorm(4, backend="cpp")(torch.ones(2, 4))


def test_a_default_device_is_no_trouble() -> None:
    """New tensors would be made there; ours are made where the input is."""
    input = torch.ones(8, 4, requires_grad=True)
    layer, batch = norm.AddLayerNorm(4, backend="cpp"), norm.BatchNorm1d(4, backend="cpp")
    with torch.device("meta"):
        output, total = layer(input, input)
        torch.autograd.backward((output + total).sum() + batch(input).sum())
    assert output.device.type == "cpu"
    assert input.grad is not None
    assert input.grad.device.type == "cpu"
