"""PyTorch's own module tests, on ours in place of torch.nn's.

`module_db` holds what PyTorch tests its modules with: constructor arguments, inputs, erroneous inputs. Every
sample of a norm layer goes through the checks below, in training and evaluation, on each backend. The peer is
torch.nn's layer with the same parameters. The last test has the kernels go through them in Triton's
interpreter, in a process of its own.
"""

import copy
import io
import os
import pickle
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.autograd import gradcheck, gradgradcheck
from torch.testing import assert_close
from torch.testing._internal.common_modules import ModuleErrorEnum, ModuleInfo, ModuleInput, module_db

from lightning_tune import norm
from lightning_tune.errors import ArgumentError

INFOS = [info for info in module_db if hasattr(norm, info.module_cls.__name__)]
KERNELS = os.environ.get("MODULE_INFO_BACKEND") == "triton"
BACKENDS = ["triton"] if KERNELS else ["aten", "reference", "cpp"]
IN_CPP = ("LayerNorm", "RMSNorm", "BatchNorm1d", "BatchNorm2d", "BatchNorm3d")
REFUSED = {"triton": torch.float64, "cpp": torch.float16}
TOLERANCE = {torch.float64: 1e-9, torch.float32: 2e-5, torch.bfloat16: 2e-2, torch.float16: 3e-3}
HALF = (torch.bfloat16, torch.float16)
MOVES = (torch.float64, torch.float32, torch.bfloat16, torch.float16)


class Sample:
    """One sample of PyTorch's, in one mode, on one backend: makes layers and inputs."""

    def __init__(self, info: ModuleInfo, place: int, training: bool, backend: str) -> None:
        self.info, self.place, self.training, self.backend = info, place, training, backend
        self.theirs: type[nn.Module] = info.module_cls
        self.ours: type[nn.Module] = getattr(norm, info.module_cls.__name__)

    def drawn(self, dtype: torch.dtype, *, requires_grad: bool = False) -> ModuleInput:
        torch.manual_seed(self.place)
        options = {"device": "cpu", "dtype": dtype, "requires_grad": requires_grad, "training": self.training}
        return self.info.module_inputs_func(self.info, **options)[self.place]

    def inputs(self, dtype: torch.dtype, *, requires_grad: bool = False) -> list[Tensor]:
        return list(self.drawn(dtype, requires_grad=requires_grad).forward_input.args)

    def layer(self, kind: type[nn.Module], dtype: torch.dtype, **options: Any) -> nn.Module:
        """Return a layer whose parameters and statistics are no longer those of the beginning."""
        given = self.drawn(dtype).constructor_input
        if kind is self.ours:
            options["backend"] = self.backend
        module = kind(*given.args, **given.kwargs, **options).to(dtype).train(self.training)
        draws = torch.Generator().manual_seed(1)
        with torch.no_grad():
            state = {**dict(module.named_parameters()), **dict(module.named_buffers())}
            for _, tensor in sorted(state.items()):
                if tensor.is_floating_point() and not tensor.is_meta:
                    tensor.copy_(torch.rand(tensor.shape, generator=draws, dtype=torch.float64) + 0.5)
        return module

    def pair(self, dtype: torch.dtype) -> tuple[nn.Module, nn.Module]:
        return self.layer(self.ours, dtype), self.layer(self.theirs, dtype)

    def __str__(self) -> str:
        drawn = self.drawn(torch.float32)
        mode = "train" if self.training else "eval"
        return f"{self.theirs.__name__}[{self.place} {drawn.desc!r}, {mode}, {self.backend}]"


def close(ours: Tensor, theirs: Tensor, within: float | None = None) -> None:
    """Compare values, type and shape; the tolerance is the type's."""
    within = TOLERANCE.get(theirs.dtype, 0.0) if within is None else within
    assert_close(ours, theirs, rtol=within, atol=within, equal_nan=True)


def same_state(ours: nn.Module, theirs: nn.Module, within: float | None = None) -> None:
    found, wanted = ours.state_dict(), theirs.state_dict()
    assert list(found) == list(wanted)
    for name, tensor in wanted.items():
        close(found[name], tensor, within)


# -- the checks: each takes a sample, and raises if something is wrong


def check_forward(sample: Sample) -> None:
    for dtype in MOVES:
        ours, theirs = sample.pair(dtype)
        inputs = sample.inputs(dtype)
        if REFUSED.get(sample.backend) == dtype:
            with pytest.raises(ArgumentError, match=str(dtype)):
                ours(*inputs)
            continue
        for _ in range(2):
            close(ours(*inputs), theirs(*inputs))
        same_state(ours, theirs)


def check_gradients(sample: Sample) -> None:
    """Against torch.nn's, in single precision, of a result with weights that differ."""
    found = []
    for module in sample.pair(torch.float32):
        inputs = sample.inputs(torch.float32, requires_grad=True)
        output = module(*inputs)
        output.backward(torch.linspace(-1, 1, output.numel()).view_as(output))
        found.append([*(each.grad for each in inputs), *(each.grad for each in module.parameters())])
    for ours, theirs in zip(*found, strict=True):
        assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


def _as_function(sample: Sample) -> tuple[Callable[..., Tensor], list[Tensor]]:
    module, inputs = (
        sample.layer(sample.ours, torch.float64),
        sample.inputs(torch.float64, requires_grad=True),
    )
    names = [name for name, _ in module.named_parameters()]

    def function(*values: Tensor) -> Tensor:
        parameters = dict(zip(names, values[len(inputs) :], strict=True))
        buffers = {name: buffer.clone() for name, buffer in module.named_buffers()}
        return torch.func.functional_call(module, {**parameters, **buffers}, values[: len(inputs)])

    return function, [*inputs, *module.parameters()]


def check_gradcheck(sample: Sample) -> None:
    function, values = _as_function(sample)
    assert gradcheck(function, values, fast_mode=True)


def check_gradgradcheck(sample: Sample) -> None:
    function, values = _as_function(sample)
    assert gradgradcheck(function, values, fast_mode=True)


def check_state_dict(sample: Sample) -> None:
    """From torch.nn's into ours and back, and through a file."""
    ours, theirs = sample.pair(torch.float32)
    inputs = sample.inputs(torch.float32)
    theirs(*inputs)  # moves the statistics
    assert ours.load_state_dict(theirs.state_dict(), strict=True).missing_keys == []
    file = io.BytesIO()
    torch.save(ours.state_dict(), file)
    file.seek(0)
    back = sample.layer(sample.theirs, torch.float32)
    back.load_state_dict(torch.load(file, weights_only=True), strict=True)
    for name, tensor in theirs.state_dict().items():
        assert torch.equal(back.state_dict()[name], tensor)
    close(ours(*inputs), back(*inputs))


def check_copies(sample: Sample) -> None:
    module, inputs = sample.layer(sample.ours, torch.float32), sample.inputs(torch.float32)
    twins = copy.deepcopy(module), pickle.loads(pickle.dumps(module))
    output = module(*inputs)
    for twin in twins:
        assert type(twin) is sample.ours
        assert repr(twin) == repr(module)
        assert twin.training is sample.training
        assert torch.equal(twin(*inputs), output)
        same_state(twin, module)


def check_meta(sample: Sample) -> None:
    """Shapes without values; a layer that was made there gets its values later."""
    for module in (
        sample.layer(sample.ours, torch.float32, device="meta"),
        sample.layer(sample.ours, torch.float32).to("meta"),
    ):
        inputs = [each.to("meta") for each in sample.inputs(torch.float32)]
        if sample.training and getattr(module, "momentum", 0.1) is None:
            for each in (module, sample.layer(sample.theirs, torch.float32, device="meta")):
                with pytest.raises(RuntimeError, match="meta"):  # a share of 1/k needs the value of k
                    each(*inputs)
        else:
            output = module(*inputs)
            assert (output.device.type, output.shape) == ("meta", inputs[0].shape)
        valued = sample.layer(sample.theirs, torch.float32)
        module.to_empty(device="cpu").load_state_dict(valued.state_dict())
        inputs = sample.inputs(torch.float32)
        close(module(*inputs), valued(*inputs))


def check_moves(sample: Sample) -> None:
    """Through all types and back, as torch.nn's; and made in a type."""
    ours, theirs = sample.pair(torch.float32)
    for dtype in (*MOVES, torch.float32):
        ours, theirs = ours.to(dtype), theirs.to(dtype)
        for (name, mine), (_, other) in zip(
            ours.state_dict().items(), theirs.state_dict().items(), strict=True
        ):
            assert (mine.dtype, mine.shape) == (other.dtype, other.shape), name
        if REFUSED.get(sample.backend) != dtype:
            inputs = sample.inputs(dtype)
            assert ours(*inputs).dtype == theirs(*inputs).dtype == dtype
    for dtype in MOVES:
        given = sample.drawn(dtype).constructor_input
        made = sample.ours(*given.args, **given.kwargs, device="cpu", dtype=dtype)
        other = sample.theirs(*given.args, **given.kwargs, device="cpu", dtype=dtype)
        for name, tensor in other.state_dict().items():
            assert made.state_dict()[name].dtype == tensor.dtype
            assert torch.equal(made.state_dict()[name], tensor)


def check_half_with_single(sample: Sample) -> None:
    """Half inputs of a layer in single precision, as torch.nn's."""
    for dtype in HALF:
        if REFUSED.get(sample.backend) == dtype:
            continue
        ours, theirs = sample.pair(torch.float32)
        inputs = sample.inputs(dtype)
        if sample.theirs is nn.RMSNorm:  # torch has no fused operator for these, and warns
            assert ours(*inputs).dtype == dtype if sample.backend != "aten" else True
            continue
        close(ours(*inputs), theirs(*inputs))
        same_state(ours, theirs, within=TOLERANCE[dtype])  # torch rounds the statistics of instance norm


def check_memory_formats(sample: Sample) -> None:
    """Channels-last and strided inputs give the same values; torch's code and batch norm keep formats."""
    formats = {4: torch.channels_last, 5: torch.channels_last_3d}
    (plain,) = sample.inputs(torch.float32)
    strided = torch.stack([plain, plain + 1], dim=-1)[..., 0]
    laid_out = [plain, strided, plain.transpose(0, -1).contiguous().transpose(0, -1)]
    if plain.dim() in formats:
        laid_out.append(plain.contiguous(memory_format=formats[plain.dim()]))
    batch_norm = issubclass(sample.ours, nn.modules.batchnorm._BatchNorm)
    wanted = sample.layer(sample.ours, torch.float32)(plain)
    for each in laid_out:
        ours, theirs = sample.pair(torch.float32)
        output, other = ours(each), theirs(each)
        close(output, wanted)
        close(output, other)
        same_state(ours, theirs)
        if sample.backend == "aten" or (batch_norm and each is not strided and each is not laid_out[2]):
            assert output.stride() == other.stride()


def check_representation(sample: Sample) -> None:
    given = sample.drawn(torch.float32).constructor_input
    ours, theirs = sample.ours(*given.args, **given.kwargs), sample.theirs(*given.args, **given.kwargs)
    assert isinstance(ours, sample.theirs)
    assert repr(ours) == repr(theirs)
    assert (
        repr(sample.layer(sample.ours, torch.float32)) == repr(theirs)[:-1] + f", backend={sample.backend!r})"
    )


CHECKS = [value for name, value in list(globals().items()) if name.startswith("check_")]
NO_DOUBLE = "the kernels compute in float32, gradcheck in float64; check_gradients compares gradients"
NO_META = "there are no kernels for tensors without values"
SKIPS = {
    ("triton", check_gradcheck): NO_DOUBLE,
    ("triton", check_gradgradcheck): NO_DOUBLE,
    ("triton", check_meta): NO_META,
    ("cpp", check_meta): NO_META,
}
PAIRS = [
    pytest.param(info, backend, id=f"{info.module_cls.__name__}-{backend}")
    for backend in BACKENDS
    for info in INFOS
    if backend != "cpp" or info.module_cls.__name__ in IN_CPP  # there are no others in C++
]


def samples(info: ModuleInfo, backend: str) -> Iterator[Sample]:
    for training in (True, False):
        options = {"device": "cpu", "dtype": torch.float32, "requires_grad": False, "training": training}
        for place in range(len(info.module_inputs_func(info, **options))):
            yield Sample(info, place, training, backend)


@pytest.fixture(scope="module")
def ledger(request: pytest.FixtureRequest) -> Iterator[Counter[str]]:
    """Count what ran and passed, and print it when all is done."""
    counted: Counter[str] = Counter()
    yield counted
    capture = request.config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled():
        print(f"\nPyTorch's samples: {counted['run']} checks run, {counted['passed']} passed")


@pytest.mark.parametrize(("info", "backend"), PAIRS)
def test_samples(info: ModuleInfo, backend: str, ledger: Counter[str], capsys: pytest.CaptureFixture[str]):
    run, failures, skipped = 0, [], Counter()
    for sample in samples(info, backend):
        for check in CHECKS:
            if (backend, check) in SKIPS:
                skipped[SKIPS[backend, check]] += 1
                continue
            run += 1
            try:
                check(sample)
            except Exception as error:  # each failure is told, with all others
                failures.append(f"{sample} {check.__name__}: {type(error).__name__}: {error}")
    ledger["run"] += run
    ledger["passed"] += run - len(failures)
    with capsys.disabled():
        print(f"\n{info.module_cls.__name__}, {backend}: {run} run, {run - len(failures)} passed", end="")
        for reason, times in skipped.items():
            print(f", {times} not run ({reason})", end="")
    assert run >= 2 * 6 * (len(CHECKS) - len(SKIPS))
    assert not failures, "\n\n".join(failures)


@pytest.mark.parametrize("backend", ["auto", *BACKENDS])
@pytest.mark.parametrize("info", INFOS, ids=lambda info: info.module_cls.__name__)
def test_erroneous_samples(info: ModuleInfo, backend: str):
    """Torch's error, in its type and words, from torch.nn's layer and from ours."""
    if info.module_error_inputs_func is None:
        return
    options = {"device": "cpu", "dtype": torch.float32, "requires_grad": False, "training": True}
    for erroneous in info.module_error_inputs_func(info, **options):
        given = erroneous.module_error_input
        for kind, extra in (
            (info.module_cls, {}),
            (getattr(norm, info.module_cls.__name__), {"backend": backend}),
        ):
            with pytest.raises(erroneous.error_type, match=erroneous.error_regex) as raised:
                module = kind(*given.constructor_input.args, **given.constructor_input.kwargs, **extra)
                assert erroneous.error_on is ModuleErrorEnum.FORWARD_ERROR
                module(*given.forward_input.args, **given.forward_input.kwargs)
            assert raised.type is erroneous.error_type


def test_all_of_them_are_there():
    """PyTorch has samples of these; SyncBatchNorm, which needs a process group, has none."""
    names = [info.module_cls.__name__ for info in module_db if "Norm" in info.module_cls.__name__]
    ours = [name for name in names if not name.startswith(("Lazy", "LocalResponse"))]
    assert sorted(info.module_cls.__name__ for info in INFOS) == sorted(ours)
    assert len(ours) == 9


@pytest.mark.slow
@pytest.mark.skipif(KERNELS, reason="this is the process that the test below starts")
def test_the_kernels_in_the_interpreter():
    done = subprocess.run(
        [sys.executable, "-m", "pytest", __file__, "-q", "-p", "no:cacheprovider", "-k", "samples"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "TRITON_INTERPRET": "1", "MODULE_INFO_BACKEND": "triton", "OMP_NUM_THREADS": "1"},
    )
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
