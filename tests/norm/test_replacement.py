"""What is told of a replacement, and what counts as lost."""

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrize

from lightning_tune.norm.replacement import Left, Replacement, Swap, lost_with


def test_it_prints_a_line_a_layer():
    swaps = (
        Swap(names=("a", "b"), before="BatchNorm2d", after="BatchNorm2d(3)", parameters="kept"),
        Swap(names=("c",), before="LayerNorm", after="RMSNorm(3)", parameters="new", lost=("hooks",)),
    )
    left = (Left(names=("d",), layer="Mine", reason="it is mine"),)
    assert str(Replacement(swaps=swaps, left=left)).splitlines() == [
        "a = b: BatchNorm2d -> BatchNorm2d(3), kept parameters",
        "c: LayerNorm -> RMSNorm(3), new parameters, lost: hooks",
        "d: Mine left, it is mine",
    ]
    assert str(Replacement(swaps=(), left=())) == "no norm layer to swap"


@pytest.mark.parametrize(
    "make",
    [
        lambda: nn.BatchNorm2d(3),
        lambda: nn.LayerNorm(3),
        lambda: nn.RMSNorm(3),
        lambda: nn.GroupNorm(1, 3),
        lambda: nn.InstanceNorm2d(3, affine=True, track_running_stats=True),
        lambda: nn.BatchNorm2d(3, device="meta"),
    ],
)
def test_nothing_is_lost_with_a_fresh_layer(make):
    assert lost_with(make()) == ()


@pytest.mark.parametrize("name", ["weight", "bias", "running_mean", "running_var", "num_batches_tracked"])
def test_any_value_that_moved_is_lost(name):
    layer = nn.BatchNorm2d(3)
    with torch.no_grad():
        getattr(layer, name).add_(1)
    assert lost_with(layer) == ("trained values",)


def test_gradients_and_parametrizations_are_lost():
    layer = nn.LayerNorm(3)
    layer(torch.randn(2, 3)).square().sum().backward()
    assert lost_with(layer) == ("gradients",)
    layer = parametrize.register_parametrization(nn.LayerNorm(3), "weight", nn.Identity())
    assert lost_with(layer) == ("parametrizations",)


@pytest.mark.parametrize(
    "register",
    [
        "register_forward_hook",
        "register_forward_pre_hook",
        "register_full_backward_hook",
        "register_full_backward_pre_hook",
        "register_state_dict_post_hook",
        "register_state_dict_pre_hook",
        "register_load_state_dict_pre_hook",
        "register_load_state_dict_post_hook",
    ],
)
def test_each_kind_of_hook_is_lost(register):
    layer = nn.LayerNorm(3)
    getattr(layer, register)(lambda *args: None)
    assert lost_with(layer) == ("hooks",)
