"""The kernels as they are compiled for GPUs: nothing spills, and tensors are read 16 bytes at a time."""

import json
from collections.abc import Callable

import pytest
import torch

from lightning_tune.norm.kernels import channels, groups
from lightning_tune.norm.kernels.geometry import View

CHOSEN = {
    "channels": [
        "batch_norm_normalise bf16",
        "batch_norm_sums_channels_last bf16",
        "batch_norm_eval_backward fp32",
        "batch_norm_gradient_channels_last fp32",
        "batch_norm_whole_backward bf16",
    ],
    "groups": [
        "group_norm_moments_channels_last fp32",
        "group_norm_gradient bf16",
        "group_norm_whole fp32",
        "group_norm_whole_backward bf16",
    ],
}
WRITES_NO_TENSOR = ("_moments", "_sums")


@pytest.mark.parametrize("module", CHOSEN)
@pytest.mark.parametrize("capability", [80, 90])
def test_nothing_spills_and_accesses_are_wide(
    module: str, capability: int, compiled: Callable[..., str]
) -> None:
    ahead = "lightning_tune.norm.kernels.ahead"
    lines = compiled("-m", ahead, f"lightning_tune.norm.kernels.{module}", str(capability), *CHOSEN[module])
    found = [json.loads(line) for line in lines.splitlines()]
    assert {resources["name"] for resources in found} == set(CHOSEN[module])
    for resources in found:
        assert resources["spilled_bytes"] == 0, resources
        assert resources["registers"] <= 168, resources
        assert resources["access_bits"]["load 128"] >= 2, resources
        if not any(word in resources["name"] for word in WRITES_NO_TENSOR):
            assert resources["access_bits"]["store 128"] >= 2, resources


@pytest.mark.parametrize("module", [channels, groups])
def test_every_argument_has_a_type(module: object) -> None:
    found = module.specifications()  # type: ignore[attr-defined]
    names = [specification.name for specification in found]
    assert len(set(names)) == len(names) > 10
    for specification in found:
        assert list(specification.signature) == specification.kernel.arg_names
        constant = {name for name, kind in specification.signature.items() if kind == "constexpr"}
        assert constant == set(specification.constants)
        assert specification.num_warps in (1, 2, 4, 8, 16)


def test_what_lies_side_by_side_is_a_constant_of_one() -> None:
    found = {specification.name: specification.constants for specification in channels.specifications()}
    assert found["batch_norm_normalise bf16"]["x_position"] == 1
    assert found["batch_norm_normalise_channels_last bf16"]["x_channel"] == 1


def test_tiles_are_those_of_a_launch() -> None:
    """The cut of the listed images is what the launcher works out for a tensor that is there."""
    images = torch.empty(64, 64, 56, 56, dtype=torch.bfloat16)
    found = {specification.name: specification for specification in channels.specifications()}
    for suffix, tensor in (("", images), ("_channels_last", images.to(memory_format=torch.channels_last))):
        cut = View(tensor).cut(tensors=2)
        specification = found[f"batch_norm_gradient{suffix} bf16"]
        assert specification.constants["CHANNELS"] == cut.channels
        assert specification.constants["POSITIONS"] == cut.positions
        assert specification.num_warps == cut.warps
