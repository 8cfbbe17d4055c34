"""Swap the norm layers of a finished model: torch.nn's for ours, or for another kind.

A layer of the same kind stays the object that it is and only changes its class, as torch's parametrizations
do it: our layers are subclasses of torch.nn's with the same attributes. So parameters, buffers, hooks and
whatever else holds on to it need no moving. Another kind is a new module in its place, with new parameters.
"""

import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import nn
from torch.nn.modules.lazy import LazyModuleMixin
from torch.nn.parallel import DistributedDataParallel
from torch.nn.parameter import is_lazy
from torch.nn.utils import parametrize

from lightning_tune.errors import ArgumentError
from lightning_tune.norm import batch, group, instance, layer, other_kinds, rms, sync
from lightning_tune.norm.dispatch import Backend
from lightning_tune.norm.other_kinds import Kind, build, kind_of, serves_as
from lightning_tune.norm.replacement import Left, Replacement, Swap, lost_with
from lightning_tune.norm.selection import Chosen, To, asked_for, check_arguments

_OURS: dict[type[nn.Module], type[nn.Module]] = {
    nn.BatchNorm1d: batch.BatchNorm1d,
    nn.BatchNorm2d: batch.BatchNorm2d,
    nn.BatchNorm3d: batch.BatchNorm3d,
    nn.GroupNorm: group.GroupNorm,
    nn.InstanceNorm1d: instance.InstanceNorm1d,
    nn.InstanceNorm2d: instance.InstanceNorm2d,
    nn.InstanceNorm3d: instance.InstanceNorm3d,
    nn.LayerNorm: layer.LayerNorm,
    nn.RMSNorm: rms.RMSNorm,
    nn.SyncBatchNorm: sync.SyncBatchNorm,
}
_KNOWN = {*_OURS, *_OURS.values(), *other_kinds.LAYERS}


def replace_norms(
    model: nn.Module,
    *,
    kinds: Kind | Sequence[Kind] | None = None,
    to: To | None = None,
    include: Chosen | Sequence[Chosen] | None = None,
    exclude: Chosen | Sequence[Chosen] | None = None,
    backend: Backend = "auto",
) -> Replacement:
    """Swap torch.nn's norm layers in a model for ours, or for another kind of norm, in place.

    Without `to`, and where a layer is of that kind already, it keeps everything: it is the same object with
    the same Parameter objects, buffers, mode, hooks and parametrizations, and only its class is ours. An
    optimizer that holds its parameters goes on; checkpoints of before load.

    Another kind is a new layer with new parameters and without hooks. It has the old one's channels, device,
    dtype, mode and `eps`, and is frozen if the old one was. Build optimizers after that. `docs/norm.md` says
    what each kind means in the place of each other: batch norm of images becomes group norm with one group
    for "layer_norm".

    Only torch.nn's own classes and ours are swapped: not a subclass of yours, nor a layer whose `forward` was
    replaced or whose parameters do not exist yet. Those are left, and reported.

    Args:
        model: is changed. A model that is nothing but a norm layer can only stay of its kind.
        kinds: which kinds to swap: "batch_norm", "layer_norm", "rms_norm", "group_norm", "instance_norm", or
            several; None is all. SyncBatchNorm is a batch norm.
        to: the kind that is wanted; None is each layer's own. "none" puts `torch.nn.Identity`. A callable
            gets each old layer (those of ours, too) and returns the new one, or the old one to leave it.
        include: layers to swap, by their qualified names: a pattern such as "encoder.*" (`*` matches dots,
            too), a predicate, or several of these; None is all. Of a layer with several names one must match.
        exclude: layers to leave, likewise: one matching name is enough.
        backend: of the new layers: "auto", "triton", "cpp", "aten" or "reference". Unless
            it is "auto", layers that are ours already get it, too.

    Returns:
        What was swapped, and what was left and why.

    Raises:
        ArgumentError: an argument that cannot be used, names that leave no norm layer of the model, a layer
            in whose place another kind has no meaning. The model is then as it was.

    Warns:
        UserWarning: a new layer begins anew where the old one had trained values, gradients or hooks.

    Example:
        >>> net = nn.Sequential(nn.Conv2d(3, 16, 3), nn.BatchNorm2d(16), nn.ReLU())
        >>> print(replace_norms(net, to="layer_norm"))  # doctest: +ELLIPSIS
        1: BatchNorm2d -> GroupNorm(1, 16, eps=1e-05, ...), new parameters
    """
    if not isinstance(model, nn.Module):
        raise ArgumentError(f"`model` must be a torch.nn.Module, got {type(model).__name__}.")
    wanted = check_arguments(kinds, to, include, exclude, backend)
    norms = [(names, module) for names, module in _norms(model) if kind_of(module) in wanted]
    asked = [(names, module) for names, module in norms if asked_for(names, include, exclude)]
    if norms and not asked:
        where = ", ".join(names[0] for names, _ in norms)
        raise ArgumentError(f"`include` and `exclude` leave none of the model's norm layers: {where}.")
    unsettled = [(names, module) for names, module in asked if not _settled(module, to, backend)]
    left = [
        Left(names=names, layer=type(module).__name__, reason=reason)
        for names, module in unsettled
        if (reason := _obstacle(module))
    ]
    plan = [
        (names, module, successor)
        for names, module in unsettled
        if not _obstacle(module) and (successor := _successor(model, module, names, to, backend)) is not None
    ]
    new = {old: successor for _, old, successor in plan if isinstance(successor, nn.Module)}
    _check_wrapping(model, new)
    swaps = tuple(_swap(names, old, successor, backend) for names, old, successor in plan)
    _put(model, new)
    _warn_of_losses(swaps)
    return Replacement(swaps=swaps, left=tuple(left))


# -- what is there


def _norms(model: nn.Module) -> Iterator[tuple[tuple[str, ...], nn.Module]]:
    """Yield each norm layer once, with all of its qualified names; "" is the model itself."""
    names: dict[nn.Module, list[str]] = {}
    for name, module in model.named_modules(remove_duplicate=False):
        if kind_of(module) is not None:
            names.setdefault(module, []).append(name)
    for module, places in names.items():
        yield tuple(places), module


def _settled(module: nn.Module, to: To | None, backend: Backend) -> bool:
    """Whether a layer is ours already, of the kind that is wanted, and computed by who is asked for."""
    ours = hasattr(module, "path_of") and _stays(module, to)
    return ours and backend in ("auto", getattr(module, "backend", backend))


def _stays(module: nn.Module, to: To | None) -> bool:
    """Whether a layer is of the kind that is wanted."""
    return to is None or (isinstance(to, str) and to != "none" and serves_as(module, to))


def _obstacle(module: nn.Module) -> str:
    """Return why a norm layer cannot be swapped; "" if it can."""
    if isinstance(module, LazyModuleMixin):
        return "it has no parameters yet: run a batch through the model first"
    if parametrize.type_before_parametrizations(module) not in _KNOWN:
        return "it is a class of its own, whose forward may do something else"
    if "forward" in vars(module):
        return "its `forward` was replaced"
    return ""


# -- what comes in its place


def _successor(
    model: nn.Module, old: nn.Module, names: Sequence[str], to: To | None, backend: Backend
) -> nn.Module | type[nn.Module] | None:
    """Return the class that a layer changes to, or the layer that comes in its place; None if it stays."""
    if to is None or _stays(old, to):
        return (
            type(old) if hasattr(old, "path_of") else _OURS.get(parametrize.type_before_parametrizations(old))
        )
    if "" in names:
        raise ArgumentError(
            f"`model` is itself a norm layer, {type(old).__name__}: there is no place for another kind. "
            "Pass the model that it belongs to, or make the other layer yourself."
        )
    if callable(to):
        new = to(old)
        if not isinstance(new, nn.Module):
            raise ArgumentError(
                f"`to` must return a torch.nn.Module, got {type(new).__name__} for {names[0]!r}."
            )
        return None if new is old else new.train(old.training)
    if to == "none":
        return nn.Identity().train(old.training)
    tensors = (*old.parameters(), *old.buffers(), *model.parameters())
    like = next((each for each in tensors if not is_lazy(each) and each.is_floating_point()), torch.empty(0))
    try:
        new = build(old, to, device=like.device, dtype=like.dtype, backend=backend)
    except ArgumentError as error:
        raise ArgumentError(f"{error}: leave {names[0]!r} out with `exclude`, or pass a callable.") from None
    parameters = list(old.parameters())
    if parameters and not any(each.requires_grad for each in parameters):
        new.requires_grad_(False)
    return new.train(old.training)


def _swap(
    names: tuple[str, ...], old: nn.Module, successor: nn.Module | type[nn.Module], backend: Backend
) -> Swap:
    """Change the class of a layer if that is all there is to do; return what is to be told."""
    before = parametrize.type_before_parametrizations(old).__name__
    if isinstance(successor, nn.Module):
        lost = lost_with(old)
        return Swap(names=names, before=before, after=_shown(successor), parameters="new", lost=lost)
    _become(old, successor, backend)
    return Swap(names=names, before=before, after=_shown(old), parameters="kept")


def _shown(module: nn.Module) -> str:
    """Return what a layer prints as, in one line."""
    return f"{parametrize.type_before_parametrizations(module).__name__}({module.extra_repr()})"


def _become(module: Any, kind: type[nn.Module], backend: Backend) -> None:
    """Give a layer a class of ours, under the properties that its parametrizations have, and a backend."""
    if kind is not type(module) and parametrize.is_parametrized(module):
        members = {
            name: value
            for name, value in vars(type(module)).items()
            if name not in ("__dict__", "__weakref__")
        }
        kind = type(f"Parametrized{kind.__name__}", (kind,), members)
    module.__class__ = kind
    module.backend = backend


def _check_wrapping(model: nn.Module, new: dict[nn.Module, nn.Module]) -> None:
    if new and any(isinstance(module, DistributedDataParallel) for module in model.modules()):
        raise ArgumentError(
            "`model` is wrapped in DistributedDataParallel, which would not know the new parameters: call "
            "replace_norms before that."
        )


def _put(model: nn.Module, new: dict[nn.Module, nn.Module]) -> None:
    """Put new layers wherever the old ones are.

    A transformer's encoder has fused operators for evaluation, which compute layer norms from the attributes
    of whatever is there: an encoder with other norms must go without.
    """
    encoders = [module for module in model.modules() if isinstance(module, nn.TransformerEncoder)]
    for parent in list(model.modules()):
        children = parent._modules  # `named_children` gives a shared one only once
        replaced = {name: new[child] for name, child in children.items() if child in new}
        children.update(replaced)
        if replaced and isinstance(parent, nn.TransformerEncoderLayer):
            parent.activation_relu_or_gelu = 0
            for encoder in encoders:
                if parent in encoder.layers:
                    encoder.use_nested_tensor = False


def _warn_of_losses(swaps: Sequence[Swap]) -> None:
    losses = [swap for swap in swaps if swap.lost]
    if losses:
        warnings.warn(
            f"replace_norms put layers of another kind, which begin anew: {losses[0]}"
            + (f" (and {len(losses) - 1} more)" if len(losses) > 1 else "")
            + ". Build optimizers after it.",
            stacklevel=3,
        )
