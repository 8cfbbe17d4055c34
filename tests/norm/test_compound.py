"""The compound layers against the two layers of torch.nn that they stand for."""

import copy
import pickle
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from lightning_tune import norm
from lightning_tune.errors import ArgumentError
from lightning_tune.testing.norms import AddThenNorm, NormThenActivation, outputs

BACKENDS = ("auto", "aten", "reference")
ACTIVATIONS = {"none": nn.Identity, "relu": nn.ReLU, "silu": nn.SiLU, "gelu": nn.GELU}


def trained(layer: nn.Module, dtype: torch.dtype) -> nn.Module:
    draws = torch.Generator().manual_seed(1)
    for parameter in layer.parameters():
        nn.init.uniform_(parameter, 0.5, 1.5, generator=draws)
    return layer.to(dtype)


def compared(ours: nn.Module, theirs: nn.Module, *shapes: tuple[int, ...], dtype: torch.dtype) -> None:
    """Compare results, gradients and statistics."""
    found: list[list[Any]] = []
    for layer in (ours, theirs):
        draws = torch.Generator().manual_seed(2)
        inputs = [torch.randn(shape, generator=draws).to(dtype).requires_grad_() for shape in shapes]
        results = outputs(layer(*inputs))
        sum(
            (each.float() * torch.linspace(-1, 1, each.numel()).view_as(each)).sum() for each in results
        ).backward()
        gradients = [each.grad for each in (*inputs, *layer.parameters())]
        found.append([*results, *gradients, *layer.buffers()])
    within = {torch.float64: 1e-9, torch.float32: 1e-5}.get(dtype, 0.05)
    for one, other in zip(*found, strict=True):
        assert_close(one, other, rtol=within, atol=within)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("memory_efficient", [False, True])
@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_adding_layers(backend: str, memory_efficient: bool, affine: bool, dtype: torch.dtype):
    options = {"memory_efficient": memory_efficient, "backend": backend}
    for ours, theirs in (
        (
            norm.AddLayerNorm(12, elementwise_affine=affine, **options),
            nn.LayerNorm(12, elementwise_affine=affine),
        ),
        (norm.AddLayerNorm([3, 4], bias=False, **options), nn.LayerNorm([3, 4], bias=False)),
        (
            norm.AddRMSNorm(12, elementwise_affine=affine, **options),
            nn.RMSNorm(12, elementwise_affine=affine),
        ),
    ):
        shape = (5, *ours.normalized_shape)
        compared(trained(ours, dtype), trained(AddThenNorm(theirs), dtype), shape, shape, dtype=dtype)


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_can_be_added_is_added(backend: str):
    """A residual in single precision for half inputs, and one that broadcasts."""
    layer = norm.AddLayerNorm(6, backend=backend)
    residual = torch.randn(4, 6)
    output, total = layer(torch.randn(4, 6).bfloat16(), residual)
    assert (output.dtype, total.dtype) == (torch.float32, torch.float32)
    output, total = layer(residual, residual[:1])
    assert_close(output, nn.functional.layer_norm(residual + residual[:1], (6,)))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("memory_efficient", [False, True])
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_activated_batch_norm(
    backend: str, activation: Any, memory_efficient: bool, training: bool, dtype: torch.dtype
):
    ours = norm.BatchNormAct2d(4, activation=activation, memory_efficient=memory_efficient, backend=backend)
    theirs = NormThenActivation(4, ACTIVATIONS[activation]())
    pair = [trained(layer, dtype).train(training) for layer in (ours, theirs)]
    compared(*pair, (3, 4, 5, 2), dtype=dtype)


@pytest.mark.parametrize("options", [{"momentum": None}, {"affine": False}, {"track_running_stats": False}])
def test_arguments_of_batch_norm(options: dict[str, Any]):
    ours, theirs = norm.BatchNormAct2d(3, **options), nn.BatchNorm2d(3, **options)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    for step in range(3):
        batch = torch.randn(4, 3, 2, 2) + step
        assert_close(ours(batch), theirs(batch).relu())
    assert_close(ours.state_dict(), theirs.state_dict())
    theirs.load_state_dict(ours.state_dict())
    assert_close(ours.eval()(batch), theirs.eval()(batch).relu())


def test_checkpoints_of_the_norm_alone_load():
    old = nn.BatchNorm2d(3)
    state = {name: tensor for name, tensor in old.state_dict().items() if name != "num_batches_tracked"}
    layer = norm.BatchNormAct2d(3)
    layer.load_state_dict(state)  # as torch.nn's: saved before there was a count
    assert int(layer.num_batches_tracked) == 0
    norm.AddLayerNorm(4).load_state_dict(nn.LayerNorm(4).state_dict())
    norm.AddRMSNorm(4).load_state_dict(nn.RMSNorm(4).state_dict())


def test_representations_and_copies():
    layers = {
        norm.AddLayerNorm(4): "AddLayerNorm((4,), eps=1e-05, elementwise_affine=True, bias=True)",
        norm.AddRMSNorm(4, memory_efficient=True): (
            "AddRMSNorm((4,), eps=None, elementwise_affine=True, memory_efficient=True)"
        ),
        norm.AddRMSNorm(4, memory_efficient=True, backend="aten"): (
            "AddRMSNorm((4,), eps=None, elementwise_affine=True, backend='aten', memory_efficient=True)"
        ),
    }
    for layer, shown in layers.items():
        assert repr(layer) == shown
        for twin in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
            assert (repr(twin), twin.memory_efficient) == (shown, layer.memory_efficient)
    layer = norm.BatchNormAct2d(3, activation="gelu", memory_efficient=True, backend="reference")
    assert repr(layer).endswith("activation='gelu', memory_efficient=True, backend='reference')")
    assert pickle.loads(pickle.dumps(layer)).activation == "gelu"


def test_errors():
    with pytest.raises(ArgumentError, match='"none", "relu", "silu", "gelu", got \'tanh\''):
        norm.BatchNormAct2d(3, activation="tanh")
    with pytest.raises(ArgumentError, match="activation"):
        norm.functional.batch_norm_act(torch.ones(2, 3), None, None, training=True, activation="tanh")
    with pytest.raises(ValueError, match=r"expected 4D input \(got 3D input\)"):
        norm.BatchNormAct2d(3)(torch.ones(2, 3, 4))
    for backend in BACKENDS:
        with pytest.raises(ValueError, match="more than 1 value per channel"):
            norm.BatchNormAct2d(3, backend=backend)(torch.ones(1, 3, 1, 1))
        with pytest.raises(RuntimeError, match="Given normalized_shape"):
            norm.AddLayerNorm(4, backend=backend)(torch.ones(2, 3), torch.ones(2, 3))
        with pytest.raises(RuntimeError, match="size of tensor"):
            norm.AddRMSNorm(4, backend=backend)(torch.ones(2, 4), torch.ones(3, 4))


def test_explained_with_a_residual():
    layer, single = norm.AddLayerNorm(4, backend="reference"), torch.ones(2, 4)
    assert layer.path_of(single).backend == layer.path_of(single, single.half()).backend == "reference"
    with pytest.raises(ArgumentError, match="float64"):
        layer.path_of(single, single.double())


def test_twice_differentiable():
    def drawn(*shape: int) -> Tensor:
        return torch.randn(shape, dtype=torch.float64, requires_grad=True)

    for backend in ("aten", "reference"):
        layer = norm.AddLayerNorm(3, backend=backend).double()
        assert torch.autograd.gradgradcheck(layer, (drawn(2, 3), drawn(2, 3)))
        images = norm.BatchNormAct2d(2, activation="silu", backend=backend).double()
        assert torch.autograd.gradgradcheck(images, drawn(2, 2, 2, 1))
