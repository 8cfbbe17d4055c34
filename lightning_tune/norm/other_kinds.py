"""A norm of another kind in an old one's place: with as many channels, normalising what makes sense there.

Batch, group and instance norm read (batch, channels, *positions); layer and RMS norm read (*, features). The
new layer must take the old one's input, so it follows the old one's layout, which gives each kind a meaning:

- Layer norm over channels that come first is over all channels and positions of a sample, with a scale and
  a shift a channel: group norm with one group (which Wu and He, ECCV 2018, call layer norm). On (batch,
  channels) that is `LayerNorm(channels)` to the letter.
- RMS norm over channels that come first is over the channels of each position alone.
- Batch norm of features that come last is over all samples and positions, and group norm over the features
  of each position alone, so that no token of a sequence sees another; instance norm is over the positions.
"""

from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.instancenorm import _InstanceNorm

from lightning_tune.errors import ArgumentError
from lightning_tune.norm.batch import BatchNorm1d, BatchNorm2d, BatchNorm3d
from lightning_tune.norm.compound import BatchNormAct2d
from lightning_tune.norm.dispatch import Path
from lightning_tune.norm.group import GroupNorm
from lightning_tune.norm.instance import InstanceNorm1d, InstanceNorm2d, InstanceNorm3d
from lightning_tune.norm.layer import LayerNorm
from lightning_tune.norm.rms import RMSNorm

Kind = Literal["batch_norm", "layer_norm", "rms_norm", "group_norm", "instance_norm"]

_BATCH = {1: BatchNorm1d, 2: BatchNorm2d, 3: BatchNorm3d}
_EPS = 1e-5
_MOST_GROUPS = 32
_NO_POSITIONS = "instance norm needs positions to average over"


class ChannelRMSNorm(RMSNorm):
    """RMS norm over dimension 1 of (batch, channels, *positions), at each position alone."""

    def forward(self, x: Tensor) -> Tensor:
        """Return the normalised input, in its shape."""
        return super().forward(x.movedim(1, -1)).movedim(-1, 1)

    def path_of(self, input: Tensor) -> Path:
        """Return who computes this input, and why."""
        return super().path_of(input.movedim(1, -1))


class ChannelBatchNorm(BatchNorm2d):
    """Batch norm of (batch, channels, *positions) with any number of positions' dimensions, or none."""

    def _check_input_dim(self, input: Tensor) -> None:
        if input.dim() < 2:
            raise ValueError(f"expected at least 2D input (got {input.dim()}D input)")


class PositionsInstanceNorm(InstanceNorm1d):
    """Instance norm of (batch, channels, length): not of (batch, channels), where a mean is of one number."""

    def _check_input_dim(self, input: Tensor) -> None:
        if input.dim() != 3:
            raise ValueError(f"expected 3D input (got {input.dim()}D input): {_NO_POSITIONS}")


class FeatureBatchNorm(BatchNorm1d):
    """Batch norm of (*, features): each feature over all that comes before."""

    def forward(self, input: Tensor) -> Tensor:
        """Return the normalised input, in its shape."""
        return super().forward(_rows(input)).reshape(input.shape)

    def path_of(self, input: Tensor) -> Path:
        """Return who computes this input, and why."""
        return super().path_of(_rows(input))


class FeatureGroupNorm(GroupNorm):
    """Group norm of (*, features): groups of features, at each position alone."""

    def forward(self, input: Tensor) -> Tensor:
        """Return the normalised input, in its shape."""
        return super().forward(_rows(input)).reshape(input.shape)

    def path_of(self, input: Tensor) -> Path:
        """Return who computes this input, and why."""
        return super().path_of(_rows(input))


class FeatureInstanceNorm(InstanceNorm1d):
    """Instance norm of (batch, *positions, features): each feature over the positions of a sample."""

    def forward(self, input: Tensor) -> Tensor:
        """Return the normalised input, in its shape."""
        if input.dim() < 3:
            raise ValueError(f"expected at least 3D input (got {input.dim()}D input): {_NO_POSITIONS}")
        normalised: Tensor = super().forward(input.movedim(-1, 1).flatten(2))
        return normalised.movedim(1, -1).reshape(input.shape)

    def path_of(self, input: Tensor) -> Path:
        """Return who computes this input, and why."""
        return super().path_of(input.movedim(-1, 1).flatten(2))


def _rows(input: Tensor) -> Tensor:
    return input.reshape(-1, input.shape[-1])


_INSTANCE = {1: PositionsInstanceNorm, 2: InstanceNorm2d, 3: InstanceNorm3d}

LAYERS = (
    ChannelBatchNorm,
    ChannelRMSNorm,
    FeatureBatchNorm,
    FeatureGroupNorm,
    FeatureInstanceNorm,
    PositionsInstanceNorm,
)
"""The layers of this module."""


def kind_of(module: nn.Module) -> Kind | None:
    """Return which kind of norm a module is, subclasses included; None of any other module."""
    families: dict[Kind, type[nn.Module] | tuple[type[nn.Module], ...]] = {
        "batch_norm": (_BatchNorm, BatchNormAct2d),
        "layer_norm": nn.LayerNorm,
        "rms_norm": nn.RMSNorm,
        "group_norm": nn.GroupNorm,
        "instance_norm": _InstanceNorm,
    }
    return next((kind for kind, family in families.items() if isinstance(module, family)), None)


def serves_as(module: nn.Module, kind: Kind) -> bool:
    """Return whether a norm is of a kind, or a group norm whose groups make it one: a single one, or all."""
    if isinstance(module, nn.GroupNorm):
        groups = {"layer_norm": 1, "instance_norm": module.num_channels, "group_norm": module.num_groups}
        return groups.get(kind) == module.num_groups
    return kind_of(module) == kind


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """What an old layer says of its place.

    Attributes:
        shape: what is normalised over by a layer or RMS norm of features; [channels] of all others.
        of_features: whether it is one.
        channels: how many there are; None of a norm over two dimensions, of which either may be the channels.
        first: whether they are dimension 1 of the input, not the last.
        positions: how many dimensions of positions follow them; None where it is not known.
        affine: whether it scales.
        eps: what it adds to the variance; None is an RMS norm's default.
    """

    shape: list[int]
    of_features: bool = False
    channels: int | None
    first: bool
    positions: int | None = None
    affine: bool
    eps: float | None


def place_of(old: nn.Module) -> Place:
    """Return what a norm layer, of torch.nn or ours, says of its place."""
    if isinstance(old, nn.LayerNorm | nn.RMSNorm):
        shape = list(old.normalized_shape)
        by_channel = isinstance(old, ChannelRMSNorm)
        image = len(shape) > 2  # (channels, height, width), as in torch's documentation of LayerNorm
        return Place(
            shape=shape,
            of_features=not by_channel,
            channels=None if len(shape) == 2 else shape[0],
            first=image or by_channel,
            positions=len(shape) - 1 if image else None,
            affine=old.elementwise_affine,
            eps=old.eps,
        )
    given: Any = old
    channels = given.num_channels if isinstance(old, nn.GroupNorm) else given.num_features
    return Place(
        shape=[channels],
        channels=channels,
        first=not isinstance(old, FeatureBatchNorm | FeatureGroupNorm | FeatureInstanceNorm),
        positions=_positions(old),
        affine=given.affine,
        eps=given.eps,
    )


def build(old: nn.Module, kind: Kind, **options: Any) -> nn.Module:
    """Return a new layer of another kind that takes the old one's input.

    It has the old one's channels, its eps (RMS norm's default is its own), and a scale (a shift, too, but for
    RMS norm) where the old one has a scale. The rest is at torch.nn's defaults.

    Args:
        old: a norm layer of torch.nn or ours.
        kind: of the new one.
        options: `device`, `dtype` and `backend` of the new one.

    Returns:
        The layer, in training mode.

    Raises:
        ArgumentError: the old one is a norm over two dimensions, of which either may be the channels.
    """
    place = place_of(old)
    over_features = place.of_features or not place.first
    if kind == "rms_norm":
        layer = RMSNorm if over_features else ChannelRMSNorm
        return layer(place.shape, eps=place.eps, elementwise_affine=place.affine, **options)
    options["eps"] = _EPS if place.eps is None else place.eps
    if kind == "layer_norm" and over_features:
        return LayerNorm(place.shape, elementwise_affine=place.affine, **options)
    if place.channels is None:
        raise ArgumentError(
            f"`to={kind!r}` cannot follow {type(old).__name__}({place.shape}), where either dimension may be "
            "the channels"
        )
    return _over_channels(place.channels, place, kind, {"affine": place.affine, **options})


def _over_channels(channels: int, place: Place, kind: Kind, options: dict[str, Any]) -> nn.Module:
    if kind == "layer_norm":
        return GroupNorm(1, channels, **options)
    if kind == "group_norm":
        layer = GroupNorm if place.first else FeatureGroupNorm
        return layer(groups_of(channels), channels, **options)
    if kind == "batch_norm":
        batch = _BATCH.get(place.positions or 0, ChannelBatchNorm) if place.first else FeatureBatchNorm
        return batch(channels, **options)
    if place.first and place.positions is None:
        return GroupNorm(channels, channels, **options)
    instance = _INSTANCE[place.positions or 0] if place.first else FeatureInstanceNorm
    return instance(channels, **options)


def groups_of(channels: int) -> int:
    """Return how many groups a group norm gets: 32 as Wu and He have it, or the most that leave two channels.

    Args:
        channels: how many there are.

    Returns:
        The largest divisor of `channels` that is at most 32 and at most half of them; 1 of a prime number.

    Example:
        >>> [groups_of(channels) for channels in (256, 64, 48, 16, 7)]
        [32, 32, 24, 8, 1]
    """
    return max(n for n in range(1, _MOST_GROUPS + 1) if n == 1 or (channels % n == 0 and 2 * n <= channels))


def _positions(old: nn.Module) -> int | None:
    """Return how many dimensions of positions a layer expects; None where any number will do."""
    if isinstance(old, ChannelBatchNorm):
        return None
    layers = (
        (nn.BatchNorm1d, nn.InstanceNorm1d),
        (nn.BatchNorm2d, nn.InstanceNorm2d),
        (nn.BatchNorm3d, nn.InstanceNorm3d),
    )
    return next((count for count, kinds in enumerate(layers, 1) if isinstance(old, kinds)), None)
