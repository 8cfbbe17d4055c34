"""Every function and layer by the kernels, interpreted, against torch; `test_functional` runs it."""

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as theirs
from torch.testing import assert_close

from lightning_tune import norm
from lightning_tune.norm import functional as ours
from lightning_tune.testing.norms import CASES, outputs

W, B = torch.rand(4) + 0.5, torch.randn(4)
ROW, IMAGE = torch.randn(3, 5, 4), torch.randn(3, 4, 2, 3)
CALLS: list[tuple[str, tuple[object, ...]]] = [
    ("layer_norm", (ROW, [4], W, B)),
    ("layer_norm", (ROW, [5, 4])),
    ("rms_norm", (ROW, [4], W)),
    ("rms_norm", (ROW, [4], None, 0.1)),
    ("group_norm", (IMAGE, 2, W, B)),
    ("group_norm", (ROW.mT, 4)),
    ("batch_norm", (IMAGE, None, None, W, B, True)),
    ("batch_norm", (ROW[:, 0], B, W, W, B)),
    ("instance_norm", (IMAGE,)),
    ("instance_norm", (ROW.mT, None, None, W, B)),
    ("instance_norm", (IMAGE, B, W, W, B, False)),
]


def check_functions() -> None:
    for name, arguments in CALLS:
        found = getattr(ours, name)(*arguments, backend="triton")
        assert_close(found, getattr(theirs, name)(*arguments), rtol=1e-4, atol=1e-5)


def check_statistics() -> None:
    """Running statistics of batch and instance norm, and their gradients beside them."""
    functions: list[tuple[Callable[..., Tensor], Callable[..., Tensor]]] = [
        (ours.batch_norm, theirs.batch_norm),
        (ours.instance_norm, theirs.instance_norm),
    ]
    for mine, other in functions:
        found = []
        for function, options in ((mine, {"backend": "triton"}), (other, {})):
            input, weight = IMAGE.clone().requires_grad_(), W.clone().requires_grad_()
            running = torch.zeros(4), torch.ones(4)
            output = function(input, *running, weight, B, True, 0.3, **options)
            output.pow(3).sum().backward()
            found.append([output, input.grad, weight.grad, *running])
        assert_close(found[0], found[1], rtol=1e-4, atol=1e-4)


def check_layers() -> None:
    for case in CASES:
        layer, twin = case.ours(), case.twin()
        layer.backend = "triton"
        for training in (True, False):
            inputs = case.inputs(1)
            found, wanted = (outputs(each.train(training)(*inputs)) for each in (layer, twin))
            assert_close(found, wanted, rtol=1e-4, atol=1e-5)
            assert norm.explain(layer, inputs[0]).backend == "triton"
        assert_close(layer.state_dict(), twin.state_dict())


def check_compiled() -> None:
    """Without a graph break, and the choice of path is a constant."""
    for case in CASES:
        layer = case.ours()
        layer.backend = "triton"
        twin, inputs = copy.deepcopy(layer), [each.requires_grad_() for each in case.inputs(1)]
        torch.compiler.reset()
        compiled = torch.compile(layer, fullgraph=True, backend="aot_eager")
        found, wanted = outputs(compiled(*inputs)), outputs(twin(*inputs))
        assert_close(found, wanted, rtol=1e-4, atol=1e-5)
        grads = [torch.autograd.grad(each[0].square().sum(), inputs) for each in (found, wanted)]
        assert_close(*grads, rtol=1e-4, atol=1e-4)


def check_exported() -> None:
    layer = nn.Sequential(norm.LayerNorm(4, backend="triton"), norm.RMSNorm(4, backend="triton")).eval()
    program = torch.export.export(layer, (ROW,))
    assert "lightning_tune.layer_norm" in str(program.graph)
    assert_close(program.module()(ROW), layer(ROW))


if __name__ == "__main__":
    torch.manual_seed(0)
    for check in (check_functions, check_statistics, check_layers, check_compiled, check_exported):
        check()
        print(check.__name__.removeprefix("check_"))
