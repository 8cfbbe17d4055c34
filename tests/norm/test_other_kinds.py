"""A layer of another kind against torch.nn's layers and the formulas, on what the old one takes."""

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrize

from lightning_tune import norm
from lightning_tune.errors import ArgumentError
from lightning_tune.norm.other_kinds import (
    ChannelBatchNorm,
    ChannelRMSNorm,
    FeatureBatchNorm,
    FeatureGroupNorm,
    FeatureInstanceNorm,
    PositionsInstanceNorm,
    build,
    groups_of,
    kind_of,
    serves_as,
)

KINDS = ("batch_norm", "layer_norm", "rms_norm", "group_norm", "instance_norm")
IMAGES, VOLUMES, SERIES, ROWS, TOKENS = (3, 12, 5, 4), (2, 12, 3, 4, 2), (3, 12, 7), (6, 12), (3, 7, 12)
OLD = {
    "BatchNorm1d": (lambda: nn.BatchNorm1d(12), SERIES),
    "BatchNorm2d": (lambda: nn.BatchNorm2d(12), IMAGES),
    "BatchNorm3d": (lambda: nn.BatchNorm3d(12), VOLUMES),
    "SyncBatchNorm": (lambda: nn.SyncBatchNorm(12), IMAGES),
    "GroupNorm": (lambda: nn.GroupNorm(3, 12), IMAGES),
    "InstanceNorm1d": (lambda: nn.InstanceNorm1d(12, affine=True), SERIES),
    "InstanceNorm2d": (lambda: nn.InstanceNorm2d(12, affine=True), IMAGES),
    "InstanceNorm3d": (lambda: nn.InstanceNorm3d(12, affine=True), VOLUMES),
    "LayerNorm": (lambda: nn.LayerNorm(12), TOKENS),
    "LayerNorm of images": (lambda: nn.LayerNorm([12, 5, 4]), IMAGES),
    "RMSNorm": (lambda: nn.RMSNorm(12), TOKENS),
}
PAIRS = [(name, kind) for name, (make, _) in OLD.items() for kind in KINDS if not serves_as(make(), kind)]


def drawn(shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return 3 + 2 * torch.randn(shape, generator=generator)


def deviated(x, dims, eps=1e-5):
    """What every norm but RMS norm is, over some dimensions."""
    var, mean = torch.var_mean(x.double(), dims, correction=0, keepdim=True)
    return ((x.double() - mean) / (var + eps).sqrt()).to(x.dtype)


def grouped(x, groups):
    """Group norm of (batch, channels, *positions) by the definition."""
    blocks = x.reshape(x.shape[0], groups, -1)
    return deviated(blocks, 2).reshape(x.shape)


def expected(x, kind, channel, of_images=False):
    """The meaning that the documentation gives to a kind, by its formula."""
    others = [dim for dim in range(x.dim()) if dim != channel]
    positions = [dim for dim in others if dim != 0]
    first = channel == 1
    match kind:
        case "batch_norm":
            return deviated(x, others)
        case "layer_norm":
            return deviated(x, list(range(1, x.dim())) if first else [channel])
        case "rms_norm":
            dims = [1, 2, 3] if of_images else [channel]
            return x / (x.square().mean(dims, keepdim=True) + torch.finfo(x.dtype).eps).sqrt()
        case "group_norm":
            groups = groups_of(12)
            if first:
                return grouped(x, groups)
            return grouped(x.reshape(-1, 12), groups).reshape(x.shape)
        case "instance_norm":
            return deviated(x, positions)


@pytest.mark.parametrize(("name", "kind"), PAIRS)
def test_each_kind_in_the_place_of_each_layer(name, kind):
    make, shape = OLD[name]
    old, x = make(), drawn(shape)
    new = build(old, kind)
    channel = x.dim() - 1 if name in ("LayerNorm", "RMSNorm") else 1
    wanted = expected(x, kind, channel, of_images=name == "LayerNorm of images")
    torch.testing.assert_close(new(x), wanted, rtol=1e-4, atol=1e-4)
    assert serves_as(new, kind)
    assert norm.explain(new, x).backend == "aten"
    assert norm.explain(build(old, kind, backend="reference"), x).backend == "reference"
    torch.testing.assert_close(build(old, kind, backend="reference")(x), wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", OLD)
def test_one_after_the_other_keeps_the_layout(name, kind):
    """From any layer over any kind to any third: the input is still taken, in its shape."""
    make, shape = OLD[name]
    x = drawn(shape)
    first = build(make(), kind)
    for other in KINDS:
        if not serves_as(first, other):
            assert build(first, other)(x).shape == x.shape


def test_on_rows_layer_norm_of_channels_is_torchs_to_the_letter():
    x = drawn(ROWS)
    new = build(nn.BatchNorm1d(12), "layer_norm")
    torch.testing.assert_close(new(x), nn.LayerNorm(12)(x))
    torch.testing.assert_close(build(nn.BatchNorm1d(12), "rms_norm")(x), nn.RMSNorm(12, eps=1e-5)(x))


def test_each_channel_has_its_own_scale_and_shift():
    """`layer_norm` of images has as many parameters as the batch norm had, not one a pixel."""
    new = build(nn.BatchNorm2d(12), "layer_norm")
    assert {name: tuple(p.shape) for name, p in new.named_parameters()} == {"weight": (12,), "bias": (12,)}
    x = drawn(IMAGES)
    plain = new(x)
    with torch.no_grad():
        new.weight.copy_(torch.arange(12.0))
        new.bias.copy_(torch.arange(12.0) / 2)
    torch.testing.assert_close(
        new(x), plain * torch.arange(12.0)[:, None, None] + torch.arange(12.0)[:, None, None] / 2
    )


@pytest.mark.parametrize("kind", ["batch_norm", "group_norm", "rms_norm"])
def test_tokens_do_not_see_later_ones_by_group_norm(kind):
    """In evaluation: batch norm by its running statistics, group and RMS norm by definition."""
    new = build(nn.LayerNorm(12), kind).eval()
    x = drawn(TOKENS)
    changed = x.clone()
    changed[:, 4:] += 5
    torch.testing.assert_close(new(x)[:, :4], new(changed)[:, :4], rtol=0, atol=0)


def test_batch_norm_of_features_keeps_running_statistics():
    new, x = build(nn.LayerNorm(12), "batch_norm"), drawn(TOKENS)
    twin = nn.BatchNorm1d(12)
    new(x), twin(x.reshape(-1, 12))
    for ours, theirs in zip(new.buffers(), twin.buffers(), strict=True):
        torch.testing.assert_close(ours, theirs)
    new.eval(), twin.eval()
    torch.testing.assert_close(new(x), twin(x.reshape(-1, 12)).reshape(x.shape))


@pytest.mark.parametrize(
    ("name", "kind"), [pair for pair in PAIRS if pair[0] in ("BatchNorm2d", "GroupNorm", "LayerNorm")]
)
def test_gradients(name, kind):
    make, shape = OLD[name]
    new = build(make(), kind, dtype=torch.float64)
    assert torch.autograd.gradcheck(new, drawn(shape).double().requires_grad_(), fast_mode=True)


def test_instance_norm_refuses_what_has_no_positions():
    """torch.nn's would take (batch, channels) for (channels, length) without a word."""
    with pytest.raises(ValueError, match="expected 3D input .*positions"):
        build(nn.BatchNorm1d(12), "instance_norm")(drawn(ROWS))
    with pytest.raises(ValueError, match="at least 3D input .*positions"):
        build(nn.LayerNorm(12), "instance_norm")(drawn(ROWS))
    with pytest.raises(ValueError, match="at least 2D input"):
        build(nn.GroupNorm(3, 12), "batch_norm")(drawn(12))


def test_eps_and_affine_come_from_the_old_one():
    assert build(nn.LayerNorm(12, eps=1e-3), "rms_norm").eps == 1e-3
    assert build(nn.BatchNorm2d(12, eps=1e-3), "layer_norm").eps == 1e-3
    assert build(nn.RMSNorm(12), "layer_norm").eps == 1e-5
    assert build(nn.InstanceNorm2d(12), "group_norm").weight is None
    assert build(nn.InstanceNorm2d(12, affine=True), "group_norm").weight.shape == (12,)
    assert build(nn.LayerNorm(12, elementwise_affine=False), "batch_norm").weight is None
    assert build(nn.BatchNorm2d(12, affine=False), "rms_norm").weight is None


@pytest.mark.parametrize("kind", ["batch_norm", "group_norm", "instance_norm"])
def test_two_dimensions_of_which_either_may_be_the_channels(kind):
    with pytest.raises(ArgumentError, match=r"LayerNorm\(\[7, 12\]\), where either dimension"):
        build(nn.LayerNorm([7, 12]), kind)
    assert build(nn.LayerNorm([7, 12]), "rms_norm").normalized_shape == (7, 12)


def test_groups():
    for channels in range(1, 300):
        groups = groups_of(channels)
        assert channels % groups == 0
        assert groups <= 32
        assert groups == 1 or channels // groups >= 2
        assert not any(channels % n == 0 and n <= channels // 2 for n in range(groups + 1, 33))


def test_kinds():
    layers = {
        "batch_norm": [ChannelBatchNorm(4), FeatureBatchNorm(4), nn.LazyBatchNorm2d(), norm.SyncBatchNorm(4)],
        "layer_norm": [nn.LayerNorm(4), norm.AddLayerNorm(4)],
        "rms_norm": [ChannelRMSNorm(4), norm.RMSNorm(4)],
        "group_norm": [FeatureGroupNorm(2, 4)],
        "instance_norm": [FeatureInstanceNorm(4), PositionsInstanceNorm(4), nn.LazyInstanceNorm1d()],
    }
    for kind, modules in layers.items():
        assert [kind_of(module) for module in modules] == [kind] * len(modules)
    assert kind_of(nn.Linear(2, 2)) is None
    assert kind_of(nn.LocalResponseNorm(2)) is None
    assert [kind for kind in KINDS if serves_as(nn.GroupNorm(1, 4), kind)] == ["layer_norm", "group_norm"]
    assert [kind for kind in KINDS if serves_as(nn.GroupNorm(4, 4), kind)] == ["group_norm", "instance_norm"]
    parametrized = parametrize.register_parametrization(nn.LayerNorm(4), "weight", nn.Identity())
    assert kind_of(parametrized) == "layer_norm"
