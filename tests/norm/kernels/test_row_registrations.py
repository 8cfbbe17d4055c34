"""Operators of torch: schemas, fake tensors, and what a compiler for a GPU sees of them."""

import ast
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from lightning_tune.norm.kernels import row_operators

OPERATORS = torch.ops.lightning_tune
CHECKED = ("test_schema", "test_autograd_registration", "test_faketensor", "test_aot_dispatch_dynamic")


def samples(device: torch.device) -> dict[str, list[tuple[object, ...]]]:
    """Arguments for each operator."""
    assert row_operators.layer_norm is not None  # what registers the operators' derivatives
    x, y = (torch.randn(2, 3, 8, device=device) for _ in range(2))
    weight, bias = (torch.randn(8, device=device) for _ in range(2))
    mean, rstd = torch.zeros(2, 3, device=device), torch.ones(2, 3, device=device)
    row, dtype = [8], torch.float32
    return {
        "layer_norm": [(x, row, weight, bias, 1e-5, dtype), (x, row, None, None, 1e-5, torch.bfloat16)],
        "layer_norm_backward": [(y, x, mean, rstd, weight, True), (y, x, mean, rstd, None, False)],
        "rms_norm": [(x, row, weight, 1e-5, dtype)],
        "rms_norm_backward": [(y, x, rstd, weight), (y, x, rstd, None)],
        "add_layer_norm": [(x, y, row, weight, bias, 1e-5, efficient, dtype) for efficient in (True, False)],
        "add_layer_norm_backward": [
            (y, x, x, rstd, mean, weight, True),
            (y, None, x, rstd, mean, None, True),
        ],
        "add_layer_norm_backward_from_output": [(y, x, x, rstd, weight, bias, torch.bfloat16)],
        "add_rms_norm": [(x, y, row, weight, 1e-5, efficient, dtype) for efficient in (True, False)],
        "add_rms_norm_backward": [(y, None, x, rstd, weight)],
        "add_rms_norm_backward_from_output": [(y, x, x, rstd, None, dtype)],
    }


@pytest.mark.parametrize("name", samples(torch.device("cpu")))
def test_torchs_own_checks(name: str, device: torch.device) -> None:
    for arguments in samples(device)[name]:
        differentiable = [
            value.clone().requires_grad_()
            if isinstance(value, Tensor) and value.shape[-1:] == (8,)
            else value
            for value in arguments
        ]
        torch.library.opcheck(getattr(OPERATORS, name).default, tuple(differentiable), test_utils=CHECKED)


@pytest.mark.parametrize("name", samples(torch.device("cpu")))
def test_results_share_no_memory_with_inputs(name: str, device: torch.device) -> None:
    for arguments in samples(device)[name]:
        before = {value.data_ptr() for value in arguments if isinstance(value, Tensor)}
        results = [one for one in getattr(OPERATORS, name)(*arguments) if one.numel()]
        pointers = {one.untyped_storage().data_ptr() for one in results}
        assert not pointers & before
        assert all(one.is_contiguous() for one in results)


GPU = """
import importlib.util, sys, torch, triton
from functorch.compile import aot_function
from torch._higher_order_ops.triton_kernel_wrap import kernel_side_table
from torch._subclasses.fake_tensor import FakeTensorMode
from triton.backends.compiler import GPUTarget

class Driver:  # as far as torch asks it, to find out which arguments a kernel writes to
    def get_current_target(self):
        return GPUTarget("cuda", 90, 32)

class Traced(Exception):
    pass

def stop(graph, _):
    raise Traced(graph.graph)

triton.runtime.driver.set_active(Driver())
spec = importlib.util.spec_from_file_location("samples", sys.argv[1])
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
found = {}
with FakeTensorMode():
    for name, cases in module.samples(torch.device("cuda")).items():
        for number, arguments in enumerate(cases):
            operator = getattr(torch.ops.lightning_tune, name)
            places = [place for place, value in enumerate(arguments) if isinstance(value, torch.Tensor)]

            def call(*tensors):
                given = dict(zip(places, tensors, strict=True))
                return operator(*(given.get(place, value) for place, value in enumerate(arguments)))

            try:
                aot_function(call, fw_compiler=stop)(*(arguments[place] for place in places))
            except Traced as traced:
                (graph,) = traced.args
            launches = {}
            for node in graph.nodes:
                if "triton_kernel_wrapper" in str(node.target):
                    kernel = kernel_side_table.get_kernel(node.kwargs["kernel_idx"])
                    warps = kernel.configs[0].num_warps
                    launches[kernel.fn.__name__] = [warps, sorted(node.kwargs["tensors_to_clone"])]
            shapes = [[list(one.shape), str(one.dtype), one.device.type] for one in operator(*arguments)]
            found[f"{name} {number}"] = [shapes, launches]
print(repr(found))
"""


def test_on_a_gpu_that_is_not_here(compiled: Callable[..., str]) -> None:
    """Shapes as in the interpreter; the kernels' launches; and that they write to outputs alone."""
    found = ast.literal_eval(compiled("-c", GPU, str(Path(__file__))))
    for name, cases in samples(torch.device("cpu")).items():
        for number, arguments in enumerate(cases):
            results, written = found[f"{name} {number}"]
            expected = getattr(OPERATORS, name)(*arguments)
            assert results == [[list(one.shape), str(one.dtype), "cuda"] for one in expected]
            outputs = {"y", "total", "mean", "rstd"}
            if "backward" in name:
                outputs = {"grad_x", "weight_parts", "bias_parts", "grad_weight", "grad_bias"}
            assert written
            for warps, tensors in written.values():
                assert warps >= 1
                assert tensors
                assert set(tensors) <= outputs
