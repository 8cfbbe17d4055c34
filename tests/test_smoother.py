"""`examples/smoother.py`: its probes against steps that are really taken, and a short run of the whole."""

import copy
import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import nn

from lightning_tune.demo import DigitsData

ROOT = Path(__file__).parents[1]


@pytest.fixture
def smoother() -> ModuleType:
    spec = importlib.util.spec_from_file_location("smoother", ROOT / "examples" / "smoother.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def batch() -> list[torch.Tensor]:
    data = DigitsData()
    data.setup("fit")
    return [each[:64] for each in data.train[:]]


@pytest.mark.parametrize("norm", ["none", "batch_norm", "layer_norm"])
def test_the_probe_is_what_steps_would_show(smoother: ModuleType, norm: str) -> None:
    torch.manual_seed(0)
    module = smoother.LitSmoother(norm, lr=0.2)
    before = copy.deepcopy(module.state_dict())
    loss_range, gradient_change = module.probe(batch())
    for name, value in module.state_dict().items():
        assert torch.equal(value, before[name]), name
    losses, slopes = [], []
    for steps in (0.0, *smoother.LOOK_AHEAD):
        moved = copy.deepcopy(module)
        optimizer = torch.optim.SGD(moved.parameters(), lr=0.2 * steps)
        moved.loss(batch()).backward()
        optimizer.step()
        optimizer.zero_grad()
        loss = moved.loss(batch())
        loss.backward()
        losses.append(loss.item())
        slopes.append(torch.cat([parameter.grad.flatten() for parameter in moved.parameters()]))
    changes = [(slope - slopes[0]).norm().item() for slope in slopes]
    assert loss_range.item() == pytest.approx(max(losses) - min(losses), rel=1e-3)
    assert gradient_change.item() == pytest.approx(max(changes), rel=1e-3)


def test_the_three_networks_differ_in_the_norm_alone(smoother: ModuleType) -> None:
    networks = {}
    for norm in smoother.NORMS:
        torch.manual_seed(0)
        networks[norm] = smoother.LitSmoother(norm).net
    for layers in zip(*networks.values(), strict=True):
        if isinstance(layers[0], nn.Linear | nn.Conv2d):
            assert torch.equal(layers[0].weight, layers[1].weight)
            assert torch.equal(layers[0].weight, layers[2].weight)
    kinds = {norm: {type(layer).__name__ for layer in net} for norm, net in networks.items()}
    assert kinds["none"] ^ kinds["batch_norm"] == {"Identity", "BatchNorm1d", "BatchNorm2d"}
    assert kinds["none"] ^ kinds["layer_norm"] == {"Identity", "GroupNorm"}


def test_a_short_run(
    smoother: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    pytest.importorskip("matplotlib", reason="the figure needs the extra `plot`")
    monkeypatch.setattr(smoother, "RATES", [0.1, 3.0])
    threads = torch.get_num_threads()
    try:
        smoother.main(
            ["--epochs", "2", "--root-dir", str(tmp_path), "--figure", str(tmp_path / "figure.png")]
        )
    finally:
        torch.set_num_threads(threads)
    assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")
    table = capsys.readouterr().out.partition("Best validation accuracy\n")[2].splitlines()
    assert table[0].split() == ["rate", "no", "norm", "batch", "norm", "layer", "norm"]
    rate, plain, batch_norm, _ = (float(word) for word in table[2].split())
    assert rate == 3
    assert plain < 0.3 < 0.6 < batch_norm
