"""What leaves a layer for elsewhere: ONNX, `torch.export`, `torch.compile`, and checkpoints both ways."""

import copy
import pickle

import onnx
import onnx.reference
import pytest
import torch

from lightning_tune.testing.norms import CASES, Case, outputs

EACH = pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])


def trained(case: Case) -> torch.nn.Module:
    """Return a layer whose parameters and statistics are no longer those of the beginning."""
    module = case.ours()
    draws = torch.Generator().manual_seed(1)
    for parameter in module.parameters():
        torch.nn.init.uniform_(parameter, 0.5, 1.5, generator=draws)
    for seed in range(3):
        module(*case.inputs(seed))
    return module.eval()


@EACH
def test_onnx(case: Case):
    """The graph is run by ONNX's own reference, in NumPy."""
    module, inputs = trained(case), case.inputs(9)
    program = torch.onnx.export(module, tuple(inputs), dynamo=True, verbose=False)
    model = program.model_proto
    onnx.checker.check_model(model)
    feeds = {given.name: each.numpy() for given, each in zip(model.graph.input, inputs, strict=True)}
    found = onnx.reference.ReferenceEvaluator(model).run(None, feeds)
    for ours, theirs in zip(outputs(module(*inputs)), found, strict=True):
        torch.testing.assert_close(torch.from_numpy(theirs), ours, rtol=1e-4, atol=1e-5)


@EACH
@pytest.mark.parametrize("training", [False, True], ids=["eval", "train"])
def test_export(case: Case, training: bool):
    module, inputs = trained(case).train(training), case.inputs(9)
    program = torch.export.export(copy.deepcopy(module), tuple(inputs))
    for ours, theirs in zip(outputs(module(*inputs)), outputs(program.module()(*inputs)), strict=True):
        torch.testing.assert_close(theirs, ours)


@EACH
@pytest.mark.parametrize("training", [False, True], ids=["eval", "train"])
def test_compile_has_no_graph_break(case: Case, training: bool):
    module, inputs = trained(case).train(training), case.inputs(9)
    for each in inputs:
        each.requires_grad_()
    twin = copy.deepcopy(module)
    torch.compiler.reset()
    compiled = torch.compile(module, fullgraph=True, backend="aot_eager")
    for ours, theirs in zip(outputs(compiled(*inputs)), outputs(twin(*inputs)), strict=True):
        torch.testing.assert_close(theirs, ours)
        ours.square().sum().backward(retain_graph=True)
        theirs.square().sum().backward(retain_graph=True)
    for ours, theirs in zip(module.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad)


@EACH
def test_inductor_compiles_it(case: Case):
    module, inputs = trained(case), case.inputs(9)
    explained = torch._dynamo.explain(module)(*inputs)
    assert explained.graph_break_count == 0


@EACH
def test_a_checkpoint_moves_both_ways(case: Case):
    ours, twin = trained(case), case.twin().eval()
    twin.load_state_dict(ours.state_dict())
    back = case.ours().eval()
    back.load_state_dict(twin.state_dict())
    assert list(ours.state_dict()) == list(twin.state_dict()) == list(back.state_dict())
    inputs = case.inputs(9)
    for first, second, third in zip(*(outputs(each(*inputs)) for each in (ours, twin, back)), strict=True):
        torch.testing.assert_close(second, first)
        assert torch.equal(third, first)


@EACH
def test_copies_and_pickles(case: Case):
    module, inputs = trained(case), case.inputs(9)
    for twin in (copy.deepcopy(module), pickle.loads(pickle.dumps(module))):
        assert repr(twin) == repr(module)
        for ours, theirs in zip(outputs(module(*inputs)), outputs(twin(*inputs)), strict=True):
            assert torch.equal(ours, theirs)
