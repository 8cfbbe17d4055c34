"""Swap a model's norm layers before a Trainer uses it: `replace_norms` as a callback.

It works in `setup`: after that the optimizers are made, which so get the new layers' parameters, and a
checkpoint is restored, which so finds the layers that it was written with.
"""

import weakref
from collections.abc import Sequence
from typing import Any

from lightning_utilities.core.rank_zero import rank_zero_info, rank_zero_warn

from lightning_tune.callbacks.both import CallbackOfBoth
from lightning_tune.callbacks.shown import call_of
from lightning_tune.norm.dispatch import Backend
from lightning_tune.norm.other_kinds import Kind, kind_of
from lightning_tune.norm.replace import replace_norms
from lightning_tune.norm.replacement import Replacement
from lightning_tune.norm.selection import Chosen, To, check_arguments


class ReplaceNorms(CallbackOfBoth):
    """Swap torch.nn's norm layers for ours, or for another kind of norm, before a fit, validation or test.

    Put it before callbacks that copy the model (weight averaging). A module is swapped once: fits that go on
    with it, or resume with `ckpt_path`, keep its layers. It sees what the module made in `__init__`: where
    layers are made in `setup` or `configure_model`, call `replace_norms` at its end instead. With another
    kind a checkpoint holds the new layers, so that `load_from_checkpoint` needs the same call in `__init__`.

    Args:
        to: the kind that is wanted, "batch_norm", "layer_norm", "rms_norm", "group_norm", "instance_norm" or
            "none", or a callable `old layer -> new layer`; None swaps each layer for ours of its kind.
        kinds: which kinds to swap; None is all.
        include: names of layers to swap, as patterns such as "encoder.*" or predicates; None is all.
        exclude: names of layers to leave, likewise.
        backend: of the new layers: "auto", "triton", "cpp", "aten" or "reference".
        verbose: say what was swapped. What was left is told always.

    Attributes:
        replacement: what was done to the last module, a `Replacement`; None before.

    Raises:
        ArgumentError: an argument that cannot be used. At the start of a fit also: as `replace_norms`.

    Example:
        >>> ReplaceNorms("layer_norm", exclude="head.*")
        ReplaceNorms(to='layer_norm', exclude='head.*')
        >>> trainer = L.Trainer(max_epochs=5, callbacks=[ReplaceNorms()])  # doctest: +SKIP
    """

    def __init__(
        self,
        to: To | None = None,
        *,
        kinds: Kind | Sequence[Kind] | None = None,
        include: Chosen | Sequence[Chosen] | None = None,
        exclude: Chosen | Sequence[Chosen] | None = None,
        backend: Backend = "auto",
        verbose: bool = False,
    ) -> None:
        super().__init__()
        check_arguments(kinds, to, include, exclude, backend)
        self.to = to
        self.kinds = kinds
        self.include = include
        self.exclude = exclude
        self.backend = backend
        self.verbose = verbose
        self.replacement: Replacement | None = None
        self._done: weakref.ref[Any] | None = None

    def __repr__(self) -> str:
        return call_of(self)

    def __getstate__(self) -> dict[str, Any]:
        """Leave out which module was swapped: a copy, or another process, has other modules."""
        return {**vars(self), "_done": None}

    def setup(self, trainer: Any, pl_module: Any, stage: str) -> None:
        """Swap the layers, unless it was done."""
        if self._done is not None and self._done() is pl_module:
            return
        self.replacement = replace_norms(
            pl_module,
            kinds=self.kinds,
            to=self.to,
            include=self.include,
            exclude=self.exclude,
            backend=self.backend,
        )
        self._done = weakref.ref(pl_module)
        self._tell(pl_module, self.replacement)

    def _tell(self, pl_module: Any, replacement: Replacement) -> None:
        if not any(kind_of(module) for module in pl_module.modules()) and not replacement.swaps:
            rank_zero_warn(
                f"ReplaceNorms found no norm layer in {type(pl_module).__name__}. It comes before what is "
                "made in `setup` or `configure_model`: call `replace_norms` at the end of that."
            )
        if self.verbose:
            rank_zero_info(f"ReplaceNorms: {len(replacement.swaps)} swapped.\n{replacement}")
        elif replacement.left:
            left = "; ".join(str(entry) for entry in replacement.left)
            rank_zero_warn(f"ReplaceNorms left norm layers as they are: {left}.")
