"""How to build a trial's module and datamodule from its configuration, anew for each trial."""

import contextlib
import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lightning_tune.core.events import Config
from lightning_tune.core.space import Space
from lightning_tune.errors import ArgumentError, UnknownArgumentError
from lightning_tune.loop.arguments import call_with, check_keys, check_size, signature_of, value_at
from lightning_tune.loop.packages import home_of


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Builds the model or the datamodule of a trial.

    Attributes:
        name: how messages call it.
        target: a class or callable to call; None where `instance` is used as it is.
        fixed: arguments from the user's own instance, which the configuration overrides.
        whole: whether `target` takes the whole configuration as one argument.
        instance: an instance (or None) to use for every trial as it is.
    """

    name: str
    target: Callable[..., Any] | None = None
    fixed: Mapping[str, Any] | None = None
    whole: bool = False
    instance: Any = None

    def build(self, config: Config, arguments: Mapping[str, Any]) -> Any:
        """Return the object for a configuration, of which `arguments` is this object's part."""
        if self.target is None:
            return self.instance
        if self.whole:
            return self.target(dict(config))
        return call_with(self.target, {**copy.deepcopy(dict(self.fixed or {})), **arguments})


def model_recipe(model: Any, space: Space, grows: str | None = None) -> tuple[Recipe, Config | None]:
    """Return how to build the module, and the baseline that an instance's own values are.

    Args:
        model: what was handed to `fit`.
        space: the search space.
        grows: the argument of the module that grows from rung to rung, if one does.

    Raises:
        ArgumentError: `model` is none of the forms that `fit` takes, or the space has the argument that grows
            too.
        UnknownArgumentError: the space has a key that the class does not take, or the argument that grows is
            none.
    """
    every = space.keys()
    if grows is not None and grows in every:
        raise ArgumentError(
            f"`budget={'model.' + grows!r}` sets the argument `{grows}` from rung to rung, but the space has "
            "it too: take it out of the space, or choose another `budget`."
        )
    keys = [key for key in every if not key.startswith(("data.", "trainer."))]
    if isinstance(model, type):
        if home_of(model) is None:
            raise ArgumentError(
                f"`model` must be a LightningModule class, got the class {model.__qualname__}."
            )
        sure = [key for key in keys if key in space]
        if grows is not None:
            check_size(grows, model, model.__name__)
            sure.append(grows)
        check_keys(keys, sure, model, model.__name__)
        return Recipe(name=model.__name__, target=model), None
    if home_of(model) is not None:
        if grows is not None:
            check_size(grows, type(model), type(model).__name__)
        return _from_instance(model, keys, "model", "")
    if callable(model):
        return Recipe(name=getattr(model, "__name__", "model"), target=model, whole=True), None
    raise ArgumentError(
        "`model` must be a LightningModule class, an instance that saved its hyperparameters, or a callable "
        f"`config -> LightningModule`, got {type(model).__name__}."
    )


def data_recipe(datamodule: Any, space: Space) -> tuple[Recipe, Config | None]:
    """Return how to build the datamodule (None stays None), and an instance's own values as a baseline.

    Raises:
        ArgumentError: `datamodule` is none of the forms that `fit` takes.
        UnknownArgumentError: the space has a `data.` key that nothing takes.
    """
    every = space.keys()
    keys = [key.removeprefix("data.") for key in every if key.startswith("data.")]
    if datamodule is None:
        if keys:
            raise UnknownArgumentError(
                f"the space has the key {'data.' + keys[0]!r}, but no `datamodule` was given to `fit`."
            )
        return Recipe(name="datamodule"), None
    if isinstance(datamodule, type):
        sure = [key for key in keys if "data." + key in space]
        check_keys(keys, sure, datamodule, datamodule.__name__, "data.")
        return Recipe(name=datamodule.__name__, target=datamodule), None
    if home_of(datamodule) is not None:
        if not keys:
            return Recipe(name=type(datamodule).__name__, instance=datamodule), None
        return _from_instance(datamodule, keys, "datamodule", "data.")
    if callable(datamodule):
        return Recipe(name=getattr(datamodule, "__name__", "datamodule"), target=datamodule, whole=True), None
    raise ArgumentError(
        "`datamodule` must be a LightningDataModule (instance or class) or a callable `config -> "
        f"LightningDataModule`, got {type(datamodule).__name__}."
    )


def _from_instance(
    thing: Any, keys: Sequence[str], argument: str, prefix: str
) -> tuple[Recipe, Config | None]:
    """Build an instance's class anew, with the hyperparameters it saved."""
    kind = type(thing)
    taken, required = signature_of(kind)
    saved = dict(thing.hparams)
    fixed = {name: value for name, value in saved.items() if taken is None or name in taken}
    lost = [name for name in required if name not in fixed]
    if lost or (keys and not saved):
        raise ArgumentError(
            f"`{argument}` is an instance of {kind.__name__} that did not save "
            + (f"its argument `{lost[0]}`" if lost else "its hyperparameters")
            + ": each trial builds the class anew. Call `self.save_hyperparameters()` in its `__init__`, "
            f"or pass the class {kind.__name__} itself."
        )
    check_keys(keys, fixed, kind, kind.__name__, prefix)
    own = {}
    for key in keys:
        with contextlib.suppress(KeyError):  # a key that the instance has no value for
            own[prefix + key] = value_at(fixed, key)
    return Recipe(name=kind.__name__, target=kind, fixed=copy.deepcopy(fixed)), own
