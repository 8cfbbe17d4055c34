"""One rank of a process group that normalises parts of a batch; `test_sync.py` starts two.

Called as `sync_cases.py RANK FOLDER`; writes what it saw to FOLDER/RANK.pt.
"""

import copy
import sys
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

from lightning_tune import norm
from lightning_tune.errors import ArgumentError

RANKS = 2


@dataclass(frozen=True, kw_only=True)
class Case:
    """A batch in parts, and the layer that it goes through.

    Attributes:
        shape: of the joined batch.
        parts: the samples of each rank.
        dtype: of batch and parameters.
        mean: of the batch's values.
        channels_last: whether the parts are laid out so.
        options: the layer's.
    """

    shape: tuple[int, ...]
    parts: tuple[int, int]
    dtype: torch.dtype = torch.float64
    mean: float = 0.0
    channels_last: bool = False
    options: dict[str, Any] = field(default_factory=dict)

    def batches(self) -> list[Tensor]:
        """Return joined batches of three steps."""
        draws = torch.Generator().manual_seed(0)
        drawn = [torch.randn(self.shape, generator=draws, dtype=torch.float64) for _ in range(3)]
        return [
            (values * torch.tensor([0.5, 2.0, 1.0])[step] + self.mean).to(self.dtype)
            for step, values in enumerate(drawn)
        ]

    def part(self, joined: Tensor, rank: int) -> Tensor:
        """Return the samples of a rank."""
        own = joined.split(list(self.parts))[rank].clone()
        return own.contiguous(memory_format=torch.channels_last) if self.channels_last else own

    def prepared(self, layer: nn.Module) -> nn.Module:
        """Give a layer parameters that are not those of the beginning."""
        draws = torch.Generator().manual_seed(1)
        for parameter in layer.parameters():
            nn.init.uniform_(parameter, 0.5, 1.5, generator=draws)
        return layer.to(self.dtype)


CASES = {
    "even": Case(shape=(8, 5), parts=(4, 4)),
    "uneven": Case(shape=(7, 5, 3), parts=(5, 2)),
    "one sample each": Case(shape=(2, 5), parts=(1, 1)),
    "empty on one rank": Case(shape=(4, 5, 2, 3), parts=(4, 0)),
    "empty on the first": Case(shape=(4, 5), parts=(0, 4)),
    "single precision": Case(shape=(6, 5, 3, 3), parts=(4, 2), dtype=torch.float32),
    "large mean": Case(shape=(9, 3, 4, 4), parts=(2, 7), mean=1e4),
    "channels last": Case(shape=(6, 5, 3, 3), parts=(4, 2), channels_last=True),
    "mean of all batches": Case(shape=(7, 5), parts=(5, 2), options={"momentum": None}),
    "without parameters": Case(shape=(7, 5), parts=(5, 2), options={"affine": False}),
    "without bias": Case(shape=(7, 5), parts=(5, 2), options={"bias": False}),
    "without statistics": Case(shape=(7, 5), parts=(5, 2), options={"track_running_stats": False}),
    "bfloat16": Case(shape=(6, 5, 8), parts=(4, 2), dtype=torch.bfloat16),
}


def weights_of(output: Tensor) -> Tensor:
    """Return what each value counts for in the loss."""
    return torch.linspace(-1, 2, output.numel(), dtype=torch.float64).view(output.shape).to(output.dtype)


def steps(case: Case, layer: nn.Module, rank: int | None) -> dict[str, Any]:
    """Train for three steps on a rank's part, or on the joined batch; return all that came of it."""
    found: dict[str, Any] = {"outputs": [], "gradients": []}
    for joined in case.batches():
        input = (joined.clone() if rank is None else case.part(joined, rank)).requires_grad_()
        output = layer(input)
        weights = weights_of(joined)
        own = weights if rank is None else weights.split(list(case.parts))[rank]
        (output.square() * own).sum().backward()
        found["outputs"].append(output.detach())
        found["gradients"].append(input.grad)
    found["parameters"] = [parameter.grad for parameter in layer.parameters()]
    found["state"] = layer.state_dict()
    found["evaluation"] = layer.eval()(case.batches()[0]).detach()
    return found


def second_derivative(case: Case, layer: nn.Module, rank: int | None) -> dict[str, Any]:
    """Return the gradients of a gradient's length: of input and parameters."""
    joined = case.batches()[0]
    input = (joined.clone() if rank is None else case.part(joined, rank)).requires_grad_()
    weights = weights_of(joined)
    own = weights if rank is None else weights.split(list(case.parts))[rank]
    loss = (layer(input).pow(3) * own).sum()
    (gradient,) = torch.autograd.grad(loss, input, create_graph=True)
    (gradient.square() * own.sin()).sum().backward()
    return {"input": input.grad, "parameters": [parameter.grad for parameter in layer.parameters()]}


def data_parallel(rank: int | None) -> dict[str, Tensor]:
    """Train a small network under DistributedDataParallel, converted, or alone on the joined batch."""
    torch.manual_seed(0)
    model: nn.Module = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, 1)).double()
    if rank is not None:
        model = norm.SyncBatchNorm.convert_sync_batchnorm(model)
        assert type(model[1]) is norm.SyncBatchNorm
        model = DistributedDataParallel(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for step in range(4):
        batch = torch.randn(8, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(step))
        own = batch if rank is None else batch.split(4)[rank]
        optimizer.zero_grad()
        (model(own) - own.sum(1, keepdim=True)).square().mean().backward()
        optimizer.step()
    return {name.removeprefix("module."): tensor for name, tensor in model.state_dict().items()}


def collectives_of(layer: nn.Module) -> tuple[int, int]:
    """Return how many collective operations a forward and a backward pass take."""
    counted = []
    originals = {name: getattr(distributed, name) for name in ("all_reduce", "all_gather", "broadcast")}
    for name, original in originals.items():
        setattr(
            distributed,
            name,
            lambda *args, _as=original, **options: counted.append(1) or _as(*args, **options),
        )
    try:
        output = layer(torch.randn(4, 5, requires_grad=True))
        forward = len(counted)
        output.square().sum().backward()
    finally:
        for name, original in originals.items():
            setattr(distributed, name, original)
    return forward, len(counted) - forward


def refusals() -> list[str]:
    """Return what explicit backends say."""
    said = []
    for backend in ("triton", "aten"):
        layer = norm.SyncBatchNorm(5, backend=backend)
        for call in (layer, lambda x, layer=layer: norm.explain(layer, x)):
            try:
                call(torch.randn(4, 5))
            except ArgumentError as error:
                said.append(str(error))
    return said


def main(rank: int, folder: Path) -> None:
    """Go through all cases."""
    torch.set_num_threads(1)
    distributed.init_process_group(
        "gloo",
        init_method=f"file://{folder}/group",
        rank=rank,
        world_size=RANKS,
        timeout=timedelta(seconds=60),
    )
    found: dict[str, Any] = {"steps": {}, "second": {}}
    for name, case in CASES.items():
        layer = case.prepared(norm.SyncBatchNorm(case.shape[1], **case.options))
        found["steps"][name] = steps(case, copy.deepcopy(layer), rank)
        if case.dtype == torch.float64:
            found["second"][name] = second_derivative(case, layer, rank)
    found["data_parallel"] = data_parallel(rank)
    found["collectives"] = collectives_of(norm.SyncBatchNorm(5))
    found["refusals"] = refusals()
    layer = norm.SyncBatchNorm(5)
    found["paths"] = [
        str(norm.explain(each, torch.randn(4, 5))) for each in (layer, copy.deepcopy(layer).eval())
    ]
    groups = [distributed.new_group([0]), distributed.new_group([1])]
    torch.manual_seed(rank)
    alone, twin, batch = (
        norm.SyncBatchNorm(5, process_group=groups[rank]),
        nn.BatchNorm1d(5),
        torch.randn(4, 5),
    )
    found["alone"] = torch.equal(alone(batch), twin(batch))
    torch.save(found, folder / f"{rank}.pt")
    distributed.destroy_process_group()


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
