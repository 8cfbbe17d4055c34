"""Two processes share a batch: all that comes of it is what torch.nn.BatchNorm makes of the joined batch."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from lightning_tune import norm
from lightning_tune.errors import ArgumentError

SCRIPT = Path(__file__).with_name("sync_cases.py")


def _loaded() -> Any:
    specification = importlib.util.spec_from_file_location("sync_cases", SCRIPT)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    sys.modules["sync_cases"] = module
    specification.loader.exec_module(module)
    return module


cases = _loaded()
LAYERS = {2: nn.BatchNorm1d, 3: nn.BatchNorm1d, 4: nn.BatchNorm2d}


@pytest.fixture(scope="module")
def ranks(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """Start both ranks once, and return what each saw."""
    folder = tmp_path_factory.mktemp("sync")
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "default"}
    processes = [
        subprocess.Popen(
            [sys.executable, str(SCRIPT), str(rank), str(folder)],
            env=environment,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(cases.RANKS)
    ]
    errors = [process.communicate(timeout=300)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], "\n".join(errors)
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(cases.RANKS)]


def joined_layer(case: Any) -> nn.Module:
    return case.prepared(LAYERS[len(case.shape)](case.shape[1], **case.options))


def near(found: Tensor, wanted: Tensor, within: float = 1e-6) -> None:
    assert_close(found, wanted, rtol=within, atol=within)


@pytest.mark.parametrize("name", [name for name in cases.CASES if name != "bfloat16"])
def test_it_is_batch_norm_of_the_joined_batch(name: str, ranks: list[dict[str, Any]]):
    """Outputs, gradients of input and parameters, running statistics: to 1e-6 in three steps."""
    case = cases.CASES[name]
    wanted = cases.steps(case, joined_layer(case), None)
    found = [rank["steps"][name] for rank in ranks]
    for step in range(3):
        near(torch.cat([each["outputs"][step] for each in found]), wanted["outputs"][step])
        near(torch.cat([each["gradients"][step] for each in found]), wanted["gradients"][step])
    summed = [sum(grads) for grads in zip(*(each["parameters"] for each in found), strict=True)]
    assert len(summed) == len(wanted["parameters"])
    for one, other in zip(summed, wanted["parameters"], strict=True):
        near(one, other)
    for each in found:
        assert list(each["state"]) == list(wanted["state"])
        for key, tensor in wanted["state"].items():
            near(each["state"][key], tensor)
        near(each["evaluation"], wanted["evaluation"])


def test_half_types_round_once(ranks: list[dict[str, Any]]):
    """Statistics are of single precision; the output is bfloat16, as torch.nn's."""
    case = cases.CASES["bfloat16"]
    wanted = cases.steps(case, joined_layer(case), None)
    found = [rank["steps"]["bfloat16"] for rank in ranks]
    for step in range(3):
        near(torch.cat([each["outputs"][step] for each in found]), wanted["outputs"][step], 2**-7)
        near(torch.cat([each["gradients"][step] for each in found]), wanted["gradients"][step], 2**-5)
    for key, tensor in wanted["state"].items():
        near(found[0]["state"][key], tensor, 2**-7)
        assert torch.equal(found[0]["state"][key], found[1]["state"][key])


@pytest.mark.parametrize("name", [name for name, case in cases.CASES.items() if case.dtype == torch.float64])
def test_the_gradient_can_be_differentiated(name: str, ranks: list[dict[str, Any]]):
    case = cases.CASES[name]
    wanted = cases.second_derivative(case, joined_layer(case), None)
    found = [rank["second"][name] for rank in ranks]
    scale = float(wanted["input"].abs().max())
    assert scale > 0
    near(torch.cat([each["input"] for each in found]) / scale, wanted["input"] / scale)
    for place, other in enumerate(wanted["parameters"]):
        if other is not None:
            near(sum(each["parameters"][place] for each in found) / scale, other / scale)


def test_data_parallel_training_is_training_on_the_joined_batch(ranks: list[dict[str, Any]]):
    wanted = cases.data_parallel(None)
    for rank in ranks:
        assert list(rank["data_parallel"]) == list(wanted)
        for key, tensor in wanted.items():
            near(rank["data_parallel"][key], tensor)


def test_one_collective_a_pass(ranks: list[dict[str, Any]]):
    assert [rank["collectives"] for rank in ranks] == [(1, 1), (1, 1)]


def test_the_path_across_ranks_is_the_reference(ranks: list[dict[str, Any]]):
    for rank in ranks:
        across, evaluation = rank["paths"]
        assert across == "reference: statistics over several ranks are computed by the reference's formulas"
        assert evaluation.startswith("aten: torch's own operator is the fastest")
        assert len(rank["refusals"]) == 4
        for backend, said in zip(("triton", "triton", "aten", "aten"), rank["refusals"], strict=True):
            assert said.startswith(f'`backend="{backend}"` can\'t be honoured for SyncBatchNorm on several')


def test_a_group_of_one_rank_is_batch_norm(ranks: list[dict[str, Any]]):
    assert all(rank["alone"] for rank in ranks)


@pytest.mark.parametrize("backend", ["auto", "aten", "reference"])
@pytest.mark.parametrize("training", [True, False])
def test_without_a_process_group_it_is_batch_norm(backend: str, training: bool):
    layer = norm.SyncBatchNorm(3, backend=backend).train(training)
    twin, x = nn.BatchNorm2d(3).train(training), torch.randn(4, 3, 2, 2)
    near(layer(x), twin(x))
    near(layer.running_var, twin.running_var)


def test_its_arguments_and_errors_are_torchs():
    ours, theirs = (
        norm.SyncBatchNorm(3, momentum=0.3, bias=False),
        nn.SyncBatchNorm(3, momentum=0.3, bias=False),
    )
    assert isinstance(ours, nn.modules.batchnorm._BatchNorm)
    assert repr(ours) == repr(theirs)
    assert ours.process_group is None
    assert list(ours.state_dict()) == list(theirs.state_dict())
    for layer in (ours, theirs):
        with pytest.raises(ValueError, match="expected at least 2D input"):
            layer(torch.randn(3))
        with pytest.raises(ValueError, match="channels should be non-zero"):
            layer(torch.randn(3, 0))
    with pytest.raises(ArgumentError, match="backend"):
        norm.SyncBatchNorm(3, backend="gloo")


def test_conversion_keeps_everything_and_leaves_activations():
    model = nn.ModuleDict(
        {
            "torch": nn.BatchNorm2d(3, eps=1e-3, momentum=None, affine=False),
            "ours": norm.BatchNorm1d(3, bias=False, backend="aten").eval(),
            "activated": norm.BatchNormAct2d(3),
            "nested": nn.Sequential(nn.Linear(2, 3), norm.BatchNorm1d(3, track_running_stats=False)),
        }
    )
    state, weight = {**model.state_dict()}, model["ours"].weight
    converted = norm.SyncBatchNorm.convert_sync_batchnorm(model)
    assert converted is model
    assert list(converted.state_dict()) == list(state)
    kinds = [type(converted[name]) for name in ("torch", "ours")] + [type(converted["nested"][1])]
    assert kinds == [norm.SyncBatchNorm] * 3
    assert type(converted["activated"]) is norm.BatchNormAct2d
    assert converted["ours"].weight is weight
    assert not converted["ours"].training
    assert converted["torch"].momentum is None
    assert converted["torch"].eps == 1e-3


def test_torchs_own_conversion_leaves_the_activation():
    """`Trainer(sync_batchnorm=True)` calls it: a batch norm with activation must not lose its activation."""
    model = nn.Sequential(norm.BatchNorm2d(3), norm.BatchNormAct2d(3, activation="silu"))
    converted = nn.SyncBatchNorm.convert_sync_batchnorm(model)
    assert isinstance(converted[0], nn.SyncBatchNorm)
    assert type(converted[1]) is norm.BatchNormAct2d
