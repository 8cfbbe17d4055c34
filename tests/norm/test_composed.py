"""The compounds against torch's two calls, by every path of a CPU: values, gradients, memory, errors."""

import itertools
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.nn import functional

from lightning_tune.norm import composed, cpp
from lightning_tune.norm.functional import add_layer_norm, add_rms_norm, batch_norm_act

DTYPES = (torch.float64, torch.float32, torch.bfloat16, torch.float16)
BACKENDS = ("auto", "aten")
ACTIVATIONS = composed.ACTIVATIONS


@pytest.fixture(autouse=True)
def everything_is_worth_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small tensors take the paths of large ones."""
    monkeypatch.setattr(cpp, "rows_pay", lambda *given, **more: not torch.compiler.is_compiling())
    monkeypatch.setattr(cpp, "channels_pay", lambda *given, **more: not torch.compiler.is_compiling())


def normal(*shape: int, dtype: torch.dtype = torch.float32, seed: int = 0, scale: float = 1.0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    values = torch.randn(shape, generator=generator, dtype=torch.float64) * scale
    return values.to(dtype).requires_grad_()


def two_calls(kind: str, input: Tensor, residual: Tensor, shape: Any, *rest: Any) -> tuple[Tensor, Tensor]:
    total = input + residual
    norm = functional.layer_norm if kind == "layer" else functional.rms_norm
    return norm(total, shape, *rest), total


def ours(kind: str, *arguments: Any, **options: Any) -> tuple[Tensor, Tensor]:
    return (add_layer_norm if kind == "layer" else add_rms_norm)(*arguments, **options)


def close(found: Tensor | None, wanted: Tensor | None, dtype: torch.dtype, times: float = 16.0) -> None:
    """Compare by the type's epsilon, relative to the largest value."""
    assert (found is None) == (wanted is None)
    if found is None or wanted is None:
        return
    assert found.dtype == dtype
    wide = wanted.detach().double()
    allowed = times * torch.finfo(dtype).eps * max(1.0, float(wide.abs().max()))
    torch.testing.assert_close(found.detach().double(), wide, rtol=0, atol=allowed)


@pytest.mark.parametrize("kind", ["layer", "rms"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("memory_efficient", [False, True])
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("shape", [(1, 7), (37, 33), (5, 3, 64), (2, 1023), (3, 1), (2, 4099)])
def test_add_norm(
    kind: str, dtype: torch.dtype, memory_efficient: bool, backend: str, shape: tuple[int, ...]
) -> None:
    def run(double: bool, call: Callable[..., tuple[Tensor, Tensor]], **options: Any) -> list[Tensor]:
        values = [normal(*shape, dtype=dtype, seed=seed) for seed in range(4)]
        values += [normal(shape[-1], dtype=dtype, seed=4, scale=0.5), normal(shape[-1], dtype=dtype, seed=5)]
        values = [value.detach().to(torch.float64 if double else dtype).requires_grad_() for value in values]
        input, residual, grad_output, grad_total, weight, bias = values
        with torch.no_grad():
            weight.add_(weight.sign())  # away from 0, where nothing can be recovered
        parameters = (weight, bias) if kind == "layer" else (weight,)
        output, total = call(kind, input, residual, shape[-1:], *parameters, eps, **options)
        wrt = (input, residual, *parameters)
        return [output, total, *torch.autograd.grad((output, total), wrt, (grad_output, grad_total))]

    eps = 1e-5
    wanted = run(True, two_calls)
    found = run(False, ours, memory_efficient=memory_efficient, backend=backend)
    times = (64.0 if memory_efficient else 16.0) * (100 if shape[-1] == 1 else 1)  # rstd is 316 there
    for ours_, theirs in zip(found, wanted, strict=True):
        close(ours_, theirs, dtype, times=times)


@pytest.mark.parametrize("kind", ["layer", "rms"])
@pytest.mark.parametrize("memory_efficient", [False, True])
def test_add_norm_without_parameters_and_with_one_gradient_each(kind: str, memory_efficient: bool) -> None:
    for which in ((True, False), (False, True)):
        gradients = []
        for call, options in ((ours, {"memory_efficient": memory_efficient}), (two_calls, {})):
            input, residual = normal(6, 9), normal(6, 9, seed=1)
            outputs = itertools.compress(call(kind, input, residual, [9], **options), which)
            (output,) = outputs
            gradients.append(torch.autograd.grad((output * normal(6, 9, seed=2)).sum(), (input, residual)))
        for found, wanted in zip(*gradients, strict=True):
            close(found, wanted, torch.float32)


@pytest.mark.parametrize("kind", ["layer", "rms"])
def test_frozen_parameters_get_no_gradient(kind: str) -> None:
    weight = normal(9, seed=3).detach()
    for memory_efficient in (False, True):
        input, residual = normal(6, 9), normal(6, 9, seed=1).detach()
        output, _ = ours(kind, input, residual, [9], weight, memory_efficient=memory_efficient)
        torch.autograd.backward(output.square().sum())
        assert input.grad is not None
        assert weight.grad is None
        assert residual.grad is None


@pytest.mark.filterwarnings("ignore:Mismatch dtype")  # of torch's RMS norm
@pytest.mark.parametrize("kind", ["layer", "rms"])
def test_half_input_with_float_parameters(kind: str) -> None:
    for memory_efficient in (False, True):
        input, residual = normal(6, 9, dtype=torch.bfloat16), normal(6, 9, dtype=torch.bfloat16, seed=1)
        weight = normal(9, seed=2)
        output, total = ours(kind, input, residual, [9], weight, memory_efficient=memory_efficient)
        wanted, _ = two_calls(kind, input, residual, [9], weight)
        assert total.dtype == torch.bfloat16
        assert output.dtype == wanted.dtype
        close(output.float(), wanted.float(), torch.float32, times=2**17)  # half's rounding
        torch.autograd.backward(output.float().square().sum())
        assert weight.grad is not None
        assert weight.grad.dtype == torch.float32


def test_columns_of_weight_zero_count_as_at_the_mean() -> None:
    weight = torch.tensor([1.0, 0.0, 2.0, 1.5], requires_grad=True)
    input = normal(5, 4)
    output, _ = add_layer_norm(input, torch.zeros(5, 4), [4], weight, memory_efficient=True)
    grad, grad_weight = torch.autograd.grad(output, (input, weight), torch.ones(5, 4))
    assert grad_weight[1] == 0
    assert bool(grad.isfinite().all())


@pytest.mark.parametrize("dtype", DTYPES[1:])
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("memory_efficient", [False, True])
@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("backend", BACKENDS)
def test_batch_norm_act(
    dtype: torch.dtype, activation: str, memory_efficient: bool, training: bool, backend: str
) -> None:
    for shape, layout in (
        ((9, 5, 2, 3), torch.contiguous_format),  # planes so small that they are columns
        ((2, 3, 71, 67), torch.contiguous_format),  # and so large that they are several pieces
        ((9, 5), torch.contiguous_format),
        ((6, 3, 11), torch.contiguous_format),
        ((4, 3, 7, 5), torch.contiguous_format),
        ((4, 3, 7, 5), torch.channels_last),
        ((3, 2, 3, 4, 5), torch.channels_last_3d),
    ):

        def run(wide: torch.dtype, shape: Any = shape, layout: Any = layout) -> list[Tensor]:
            first = normal(*shape, dtype=dtype, scale=2.0).detach() + 0.5
            input = first.to(wide).contiguous(memory_format=layout).requires_grad_()
            weight, bias = (normal(shape[1], dtype=dtype, seed=seed).to(wide) for seed in (1, 2))
            mean = normal(shape[1], dtype=dtype, seed=3).detach().to(wide)
            var = normal(shape[1], dtype=dtype, seed=4).detach().abs().to(wide) + 0.5
            if wide == dtype:
                output = batch_norm_act(
                    *(input, mean, var, weight, bias, training, 0.2, 1e-3),
                    activation=activation,
                    memory_efficient=memory_efficient,
                    backend=backend,
                )
            else:
                output = ACTIVATIONS[activation](
                    functional.batch_norm(input, mean, var, weight, bias, training, 0.2, 1e-3)
                )
            grad_output = normal(*shape, dtype=dtype, seed=5).detach().to(wide)
            return [output, mean, var, *torch.autograd.grad(output, (input, weight, bias), grad_output)]

        for ours_, theirs in zip(run(dtype), run(torch.float64), strict=True):
            # at a ReLU's kink a rounded value may fall on the other side; of many, some do
            if activation == "relu" and dtype.itemsize == 2:
                if ours_.dim() == 1 and max(shape) > 60:
                    continue
                assert float((ours_.double() - theirs).detach().abs().median()) < 8 * torch.finfo(
                    dtype
                ).eps * max(1.0, float(theirs.detach().abs().max()))
            else:
                close(ours_, theirs, dtype, times=64.0)


def test_running_statistics_may_be_missing_or_change_after_the_forward_pass() -> None:
    input = normal(6, 3, 4)
    wanted = functional.relu(functional.batch_norm(input, None, None, training=True))
    close(batch_norm_act(input, None, None, training=True), wanted, torch.float32)
    mean, var = torch.zeros(3), torch.ones(3)
    output = batch_norm_act(input, mean, var, eps=0.0, activation="silu")
    mean.fill_(7.0)
    (found,) = torch.autograd.grad(output.sum(), input)
    (wanted,) = torch.autograd.grad(functional.silu(input).sum(), input)
    close(found, wanted, torch.float32)


def kept_bytes(call: Callable[[], Any]) -> int:
    """Return how many bytes autograd keeps, each storage counted once."""
    storages = {}

    def keep(tensor: Tensor) -> Tensor:
        storages[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        outputs = call()
    assert outputs is not None
    return sum(storages.values())


@pytest.mark.parametrize("activation", ["relu", "silu", "gelu"])
def test_memory_efficient_keeps_the_input_alone(activation: str) -> None:
    input = normal(8, 4, 16, 16)
    kept = kept_bytes(
        lambda: batch_norm_act(input, None, None, training=True, activation=activation, memory_efficient=True)
    )
    assert kept < 1.05 * input.nbytes
    both = kept_bytes(
        lambda: ACTIVATIONS[activation](functional.batch_norm(input, None, None, training=True))
    )
    assert both >= 2 * input.nbytes


@pytest.mark.parametrize("kind", ["layer", "rms"])
def test_memory_efficient_keeps_the_output_that_the_next_layer_keeps(kind: str) -> None:
    input, residual, weight = normal(64, 32), normal(64, 32, seed=1), normal(32, seed=2)
    following = normal(32, 32, seed=3)

    def block(memory_efficient: bool) -> Any:
        return ours(kind, input, residual, [32], weight, memory_efficient=memory_efficient)[0] @ following

    assert kept_bytes(lambda: block(False)) - kept_bytes(lambda: block(True)) >= input.nbytes


@pytest.mark.parametrize("kind", ["layer", "rms"])
def test_errors_are_torchs(kind: str) -> None:
    input = normal(4, 6)
    for arguments in ((input, input, [5]), (input, input, [6], torch.ones(5)), (input, normal(4, 5), [6])):
        with pytest.raises(RuntimeError) as wanted:
            two_calls(kind, *arguments)
        with pytest.raises(RuntimeError) as found:
            ours(kind, *arguments)
        assert str(found.value) == str(wanted.value)


def test_errors_of_batch_norm_are_torchs() -> None:
    input = normal(4, 6)
    cases: list[tuple[Any, ...]] = [
        (input, None, None, None, None, False),
        (input, torch.zeros(5), torch.ones(5), None, None, True),
        (input, None, None, torch.ones(5), None, True),
        (normal(1, 6), None, None, None, None, True),
    ]
    for arguments in cases:
        with pytest.raises((RuntimeError, ValueError)) as wanted:
            functional.batch_norm(*arguments)
        with pytest.raises(wanted.type) as found:
            batch_norm_act(*arguments)
        assert str(found.value) == str(wanted.value)


def test_views_broadcasts_and_mixed_types_are_composed() -> None:
    input = normal(6, 4).t()
    residual = normal(4, 6, seed=1)
    close(ours("rms", input, residual, [6])[0], two_calls("rms", input, residual, [6])[0], torch.float32)
    row = normal(6, seed=1)
    close(ours("layer", residual, row, [6])[0], two_calls("layer", residual, row, [6])[0], torch.float32)
    half = normal(4, 6, dtype=torch.bfloat16)
    assert ours("layer", residual, half, [6])[0].dtype == torch.float32
    view = normal(8, 6, 5)[::2, ::2]
    wanted = functional.relu(functional.batch_norm(view, None, None, training=True))
    close(batch_norm_act(view, None, None, training=True), wanted, torch.float32)
    empty = torch.empty(0, 6, requires_grad=True)
    assert add_rms_norm(empty, empty, [6])[0].shape == (0, 6)


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated")  # in torch's own jvp of batch norm
def test_function_transforms_and_forward_mode() -> None:
    input, residual = normal(5, 6).detach(), normal(5, 6, seed=1).detach()

    def layer(values: Tensor) -> Tensor:
        return add_layer_norm(values, residual[0], [6], memory_efficient=True)[0].square().sum()

    per_row = torch.func.vmap(torch.func.grad(layer))(input)
    whole = input.clone().requires_grad_()
    same = residual[:1].expand(5, 6).contiguous()
    (wanted,) = torch.autograd.grad(add_layer_norm(whole, same, [6])[0].square().sum(), whole)
    close(per_row, wanted, torch.float32)

    def act(values: Tensor) -> Tensor:
        return batch_norm_act(values, None, None, training=True, activation="silu")

    slope = torch.func.jvp(act, (input,), (residual,))[1]
    slope_by_backward = torch.autograd.functional.jvp(act, input, residual)[1]  # type: ignore[no-untyped-call]
    close(slope, slope_by_backward, torch.float32)
    with forward_ad.dual_level():
        dual = forward_ad.make_dual(input, residual)  # type: ignore[no-untyped-call]
        tangent = forward_ad.unpack_dual(act(dual)).tangent  # type: ignore[no-untyped-call]
        close(tangent, slope_by_backward, torch.float32)


def test_compiles_without_a_break() -> None:
    def both(input: Tensor, residual: Tensor) -> Tensor:
        output, total = add_rms_norm(input, residual, [6])
        layer, _ = add_layer_norm(output, total, [6])
        return batch_norm_act(layer, None, None, training=True)

    input, residual = normal(5, 6), normal(5, 6, seed=1)
    compiled = torch.compile(both, fullgraph=True, backend="aot_eager")
    close(compiled(input, residual), both(input, residual), torch.float32)


def test_inference_runs_in_place_of_nothing_that_is_the_users() -> None:
    input, residual = normal(5, 6).detach(), normal(5, 6, seed=1).detach()
    before = input.clone()
    with torch.no_grad():
        for activation in ACTIVATIONS:
            found = batch_norm_act(input, torch.zeros(6), torch.ones(6), eps=0.0, activation=activation)
            close(found, ACTIVATIONS[activation](before), torch.float32)
        add_layer_norm(input, residual, [6])
        add_rms_norm(input, residual, [6])
    assert torch.equal(input, before)


@pytest.mark.parametrize("backend", BACKENDS)
def test_empty_batches_with_memory_efficient(backend: str) -> None:
    for shape in ((0, 3, 2, 2), (4, 3, 0, 2)):
        for dtype in (torch.float32, torch.float16):
            options = {"training": True, "memory_efficient": True, "backend": backend}
            assert batch_norm_act(torch.empty(shape, dtype=dtype), None, None, **options).shape == shape


def test_a_residual_that_is_no_tensor_is_torchs_matter() -> None:
    input = normal(4, 6)
    for memory_efficient in (False, True):
        output, total = add_layer_norm(input, 2.0, [6], memory_efficient=memory_efficient)  # type: ignore[arg-type]
        close(total, input + 2.0, torch.float32)
        with pytest.raises(TypeError, match="NoneType"):
            add_layer_norm(input, None, [6], memory_efficient=memory_efficient)  # type: ignore[arg-type]
