"""Which layers are asked for, and arguments that can't be used."""

from typing import Any

import pytest
from torch import nn

from lightning_tune import ReplaceNorms
from lightning_tune.errors import ArgumentError
from lightning_tune.norm import replace_norms
from lightning_tune.norm.selection import asked_for, check_arguments


def test_one_name_included_and_none_excluded() -> None:
    names = ["encoder.0.norm", "tied"]
    assert asked_for(names, None, None)
    assert asked_for(names, "encoder.*", None)
    assert asked_for(names, [lambda name: name == "tied"], "head.*")
    assert not asked_for(names, "head.*", None)
    assert not asked_for(names, "encoder.*", ["tied"])


def test_sound_arguments_say_which_kinds() -> None:
    assert check_arguments("layer_norm", None, None, None, "auto") == {"layer_norm"}
    assert len(check_arguments(None, "none", "a", [str.isupper, "b"], "aten")) == 5


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("include", 3),
        ("exclude", [3]),
        ("include", b"0"),
        ("kinds", 3),
        ("kinds", ["batch"]),
        ("to", nn.LayerNorm),
        ("to", "layer"),
        ("backend", "fast"),
    ],
)
def test_what_can_not_be_used_is_named_before_anything_happens(argument: str, value: Any) -> None:
    net = nn.Sequential(nn.BatchNorm1d(3))
    for call in (lambda: replace_norms(net, **{argument: value}), lambda: ReplaceNorms(**{argument: value})):
        with pytest.raises(ArgumentError, match=f"`{argument}`"):
            call()
    assert type(net[0]) is nn.BatchNorm1d
