"""Which code is taken, why, and what an explicit choice that can't be honoured says."""

import subprocess
import sys
from typing import Any

import pytest
import torch
from torch import nn

from lightning_tune import norm
from lightning_tune.errors import ArgumentError
from lightning_tune.norm import dispatch
from lightning_tune.norm.dispatch import Path, as_under_autocast, checked, choose, explain, shown


class OnGPU:
    """What the choice asks of an input, without a GPU."""

    is_cuda = True
    device = torch.device("cuda", 0)

    def __init__(self, dtype: torch.dtype = torch.float32) -> None:
        self.dtype = dtype


@pytest.fixture
def no_interpreter(monkeypatch: pytest.MonkeyPatch) -> None:
    """Kernels need a GPU; other tests of this process may have Triton interpret them."""
    monkeypatch.setattr("lightning_tune.norm.kernels._interpreted", lambda: False)
    dispatch._usable.cache_clear()
    yield
    dispatch._usable.cache_clear()


def kernels_say(monkeypatch: pytest.MonkeyPatch, answer: str | None) -> None:
    monkeypatch.setattr(dispatch, "_usable", lambda dtype, device: answer)


def test_auto_on_a_cpu_is_torch():
    for dtype in (torch.float64, torch.float32, torch.bfloat16, torch.float16):
        path = choose("layer_norm", torch.zeros(2, 3, dtype=dtype))
        assert path == Path(
            backend="aten", reason="the input is on cpu, where torch's own operator is the fastest"
        )


def test_auto_on_a_gpu_is_the_kernels_where_they_cover_the_case(monkeypatch: pytest.MonkeyPatch):
    kernels_say(monkeypatch, None)
    path = choose("layer_norm", OnGPU(torch.bfloat16))
    assert path.backend == "triton"
    assert path.reason == "the input is torch.bfloat16 on cuda:0, which the kernels cover"
    assert choose("layer_norm", OnGPU(), "auto", "eps is -1") == Path(backend="aten", reason="eps is -1")


def test_auto_on_a_gpu_is_torch_where_they_do_not(monkeypatch: pytest.MonkeyPatch):
    kernels_say(monkeypatch, "triton is not installed")
    assert choose("rms_norm", OnGPU()) == Path(backend="aten", reason="triton is not installed")


def test_the_kernels_are_asked_about_type_and_device(monkeypatch: pytest.MonkeyPatch):
    asked = []
    monkeypatch.setattr(dispatch, "_usable", lambda *given: asked.append(given))
    choose("rms_norm", OnGPU(torch.float16))
    assert asked == [(torch.float16, torch.device("cuda", 0))]


@pytest.mark.parametrize("backend", ["aten", "reference"])
def test_an_explicit_choice_is_taken_at_its_word(backend: Any):
    assert choose("batch_norm", torch.zeros(2, 3), backend).backend == backend
    assert choose("batch_norm", OnGPU(), backend).backend == backend


def test_torch_is_asked_for_in_spite_of_an_obstacle():
    assert choose("batch_norm", torch.zeros(2, 3), "aten", "something").backend == "aten"


def test_triton_without_a_gpu_says_why(no_interpreter: None):
    with pytest.raises(
        ArgumentError, match=r'`backend="triton"` can\'t be honoured for layer_norm: .* on cpu'
    ):
        choose("layer_norm", torch.zeros(2, 3), "triton")
    with pytest.raises(ArgumentError, match="float64"):
        norm.LayerNorm(3, dtype=torch.float64, backend="triton")(torch.zeros(2, 3, dtype=torch.float64))
    with pytest.raises(ArgumentError, match="group_norm: .* on cpu"):
        norm.functional.group_norm(torch.zeros(2, 4, 3), 2, backend="triton")


def test_an_obstacle_is_an_error_of_an_explicit_choice():
    with pytest.raises(ArgumentError, match="reference.* for rms_norm: the tensor is complex"):
        choose("rms_norm", torch.zeros(2), "reference", "the tensor is complex")


def test_an_unknown_backend_lists_those_that_exist():
    for call in (
        lambda: checked("cuda"),
        lambda: norm.LayerNorm(3, backend="cuda"),
        lambda: norm.BatchNorm2d(3, backend="cuda"),
        lambda: norm.functional.layer_norm(torch.zeros(2, 3), [3], backend="cuda"),
    ):
        with pytest.raises(ArgumentError, match='"auto", "triton", "cpp", "aten", "reference", got \'cuda\''):
            call()


def test_shown():
    assert shown("3", "auto") == "3"
    assert shown("3", "triton") == "3, backend='triton'"


@pytest.mark.parametrize(
    ("module", "shape"),
    [
        (norm.LayerNorm(6), (2, 6)),
        (norm.RMSNorm(6), (2, 6)),
        (norm.GroupNorm(2, 6), (2, 6, 3)),
        (norm.BatchNorm1d(6), (2, 6)),
        (norm.BatchNorm2d(6), (2, 6, 3, 3)),
        (norm.BatchNorm3d(6), (2, 6, 3, 3, 3)),
        (norm.InstanceNorm1d(6), (2, 6, 3)),
        (norm.InstanceNorm2d(6), (6, 3, 3)),
        (norm.InstanceNorm3d(6), (2, 6, 3, 3, 3)),
        (norm.SyncBatchNorm(6), (2, 6)),
        (norm.GhostBatchNorm(6, ghost_batch_size=2), (5, 6)),
        (norm.AddLayerNorm(6), (2, 6)),
        (norm.AddRMSNorm(6), (2, 6)),
        (norm.BatchNormAct2d(6), (2, 6, 3, 3)),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else "",
)
def test_each_layer_is_explained(module: nn.Module, shape: tuple[int, ...]):
    before = [buffer.clone() for buffer in module.buffers()]
    for training in (True, False):
        assert explain(module.train(training), torch.ones(shape)).backend == "aten"
        module.backend = "reference"
        path = explain(module, torch.ones(shape))
        assert str(path) == "reference: `backend` asks for it"
        module.backend = "triton"
        with pytest.raises(ArgumentError, match="float64"):
            explain(module, torch.ones(shape, dtype=torch.float64))
        module.backend = "auto"
    assert all(torch.equal(*pair) for pair in zip(before, module.buffers(), strict=True))


def test_explain_says_what_the_layer_then_does(monkeypatch: pytest.MonkeyPatch):
    """The reference is called where `explain` says so, and only there."""
    called = []
    from lightning_tune.norm import reference

    original = reference.layer_norm
    monkeypatch.setattr(reference, "layer_norm", lambda *given: called.append(given) or original(*given))
    for backend, times in (("auto", 0), ("aten", 0), ("reference", 1)):
        module = norm.LayerNorm(3, backend=backend)
        module(torch.randn(2, 3))
        assert len(called) == times
        assert (explain(module, torch.randn(2, 3)).backend == "reference") is bool(times)


def test_other_modules_are_not_explained():
    with pytest.raises(ArgumentError, match=r"must be a layer of lightning_tune.norm, got LayerNorm"):
        explain(nn.LayerNorm(3), torch.ones(2, 3))


def test_autocast_on_a_cpu_leaves_the_input():
    half = torch.zeros(2, dtype=torch.bfloat16)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert as_under_autocast(half) is half


def test_importing_needs_no_triton():
    code = (
        "import sys; import torch; import lightning_tune.norm as norm; norm.LayerNorm(3)(torch.ones(2, 3));"
        "norm.explain(norm.LayerNorm(3), torch.ones(2, 3));"
        "print([name for name in ('triton', 'lightning', 'sqlalchemy') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("backend", ["auto", "reference"])
def test_the_choice_can_be_compiled(backend: Any):
    torch.compiler.reset()
    module = norm.LayerNorm(5, backend=backend)
    compiled = torch.compile(module, fullgraph=True, backend="aot_eager")
    x = torch.randn(3, 5)
    torch.testing.assert_close(compiled(x), nn.functional.layer_norm(x, (5,)))
