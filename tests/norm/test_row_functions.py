"""Layer norm, RMS norm and their sums with a residual, by each backend, against torch's."""

from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as theirs
from torch.testing import assert_close

from lightning_tune.norm import functional as ours

BACKENDS = ("auto", "aten", "reference")
SHAPES = [((4,), [4]), ((3, 5), [5]), ((2, 3, 5), [3, 5]), ((0, 5), [5]), ((3, 0), [0]), ((7, 1), [1])]
WITHIN = {torch.float64: 1e-12, torch.float32: 1e-5, torch.bfloat16: 2**-6, torch.float16: 2**-9}


def near(found: Tensor, wanted: Tensor) -> None:
    within = WITHIN[wanted.dtype]
    assert_close(found, wanted, rtol=within, atol=within)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("shapes", SHAPES, ids=str)
@pytest.mark.parametrize("dtype", WITHIN)
def test_shapes_and_types(shapes: Any, dtype: torch.dtype, backend: Any):
    shape, row = shapes
    input = (torch.randn(shape) * 3 + 1).to(dtype)
    weight, bias = torch.randn(row).to(dtype), torch.randn(row).to(dtype)
    found = ours.layer_norm(input, row, weight, bias, backend=backend)
    near(found, theirs.layer_norm(input, row, weight, bias))
    near(ours.layer_norm(input, row, backend=backend), theirs.layer_norm(input, row))
    near(ours.rms_norm(input, row, weight, backend=backend), theirs.rms_norm(input, row, weight))
    near(ours.rms_norm(input, row, eps=0.3, backend=backend), theirs.rms_norm(input, row, eps=0.3))
    total = input + input
    for memory_efficient in (True, False):
        options = {"memory_efficient": memory_efficient, "backend": backend}
        output, found = ours.add_layer_norm(input, input, row, weight, bias, **options)
        near(output, theirs.layer_norm(total, row, weight, bias))
        assert torch.equal(found, total)
        output, found = ours.add_rms_norm(input, input, row, weight, **options)
        near(output, theirs.rms_norm(total, row, weight))
        assert torch.equal(found, total)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("given", WITHIN)
@pytest.mark.parametrize("autocast", [torch.bfloat16, torch.float16])
def test_types_under_autocast_are_torchs(given: torch.dtype, autocast: torch.dtype, backend: Any):
    input, weight = torch.randn(3, 4).to(given), torch.ones(4, dtype=given)
    with torch.autocast("cpu", dtype=autocast):
        found = [
            ours.layer_norm(input, [4], weight, backend=backend),
            ours.rms_norm(input, [4], weight, backend=backend),
            ours.add_layer_norm(input, input, [4], weight, backend=backend)[0],
            ours.add_rms_norm(input, input, [4], weight, backend=backend)[0],
        ]
        wanted = [theirs.layer_norm(input, [4], weight), theirs.rms_norm(input, [4], weight)]
    assert [each.dtype for each in found] == [each.dtype for each in wanted] * 2


@pytest.mark.parametrize("backend", BACKENDS)
def test_large_means_lose_no_digits(backend: Any):
    """A variance of 1 at a mean of 1e4, in single precision, against double."""
    input = torch.randn(4, 4099) + 1e4
    found = ours.layer_norm(input, [4099], backend=backend)
    assert_close(found.double(), theirs.layer_norm(input.double(), [4099]), rtol=0, atol=2e-3)


def test_torch_func_goes_through_every_path():
    input = torch.randn(3, 4, dtype=torch.float64)
    wanted = torch.func.jacrev(lambda x: theirs.layer_norm(x, [4]))(input)
    for backend in BACKENDS:
        layer, rms = (
            partial(each, normalized_shape=[4], backend=backend) for each in (ours.layer_norm, ours.rms_norm)
        )
        assert_close(torch.func.jacrev(layer)(input), wanted)
        mapped = torch.func.vmap(rms)(input)
        assert_close(mapped, theirs.rms_norm(input, [4]))


def test_a_graph_of_torch_fx_keeps_torchs_function():
    """Quantisers and exporters look for the function by its name."""
    graph = torch.fx.symbolic_trace(lambda x: ours.layer_norm(x, [4])).graph
    assert theirs.layer_norm in [node.target for node in graph.nodes]
