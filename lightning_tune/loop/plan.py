"""Everything that one call of `fit` needs, checked before anything is written or trained."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from lightning_tune.core.budget import Budget
from lightning_tune.core.describe import plain
from lightning_tune.core.events import JSON, Config
from lightning_tune.core.space import Space
from lightning_tune.errors import ArgumentError
from lightning_tune.loop.baselines import baselines_of
from lightning_tune.loop.data import Loaders
from lightning_tune.loop.packages import common_package, home_of
from lightning_tune.loop.portion import note_on
from lightning_tune.loop.recipe import Recipe, data_recipe, model_recipe
from lightning_tune.loop.trainers import TrainerRecipe, trainer_recipe
from lightning_tune.schedule import Scheduler


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How to build and train any trial of a sweep.

    Attributes:
        package: `lightning.pytorch` or `pytorch_lightning`, the one that the user's classes come from.
        model, data, trainer: how to build them.
        loaders: the loaders that were handed to `fit`.
        max_epochs: the Trainer's; infinite where only a callable knows.
        budget: what trials spend.
        schedule: who trains how far, fitted to the budget.
        baselines: configurations to try first.
        notes: what the user should know before it starts.
        settings: what is recorded of the Trainer and of `fit`'s arguments, to tell what changed later.
    """

    package: ModuleType
    model: Recipe
    data: Recipe
    trainer: TrainerRecipe
    loaders: Loaders
    max_epochs: float
    budget: Budget
    schedule: Scheduler
    baselines: Sequence[Config]
    notes: Sequence[str]
    settings: Mapping[str, JSON]


def make_plan(
    *,
    space: Space,
    model: Any,
    train_dataloaders: Any,
    val_dataloaders: Any,
    datamodule: Any,
    trainer: Any,
    baseline: Mapping[str, object] | Sequence[Mapping[str, object]] | None,
    devices: int | None,
    verbose: bool,
    schedule: Scheduler,
    budget: Budget,
) -> Plan:
    """Check the arguments of `fit` against the space, and the schedule against the Trainer.

    Raises:
        ArgumentError: an argument of the wrong form, classes of both packages, or budgets that do not fit.
        UnknownArgumentError: the space has a key that no argument takes.
    """
    if train_dataloaders is not None and datamodule is None and _is_datamodule(train_dataloaders):
        train_dataloaders, datamodule = None, train_dataloaders
    if datamodule is not None and (train_dataloaders is not None or val_dataloaders is not None):
        raise ArgumentError(
            "`fit` takes `train_dataloaders` and `val_dataloaders`, or a `datamodule`, not both."
        )
    package = common_package(model=model, datamodule=datamodule, trainer=trainer)
    models, own = model_recipe(model, space, budget.argument)
    data, own_data = data_recipe(datamodule, space)
    trainers, max_epochs = trainer_recipe(trainer, space, package, devices, verbose)
    budget = Budget.of(budget.grows, budget.unit, max_epochs)
    baselines, notes = baselines_of(baseline, {**(own or {}), **(own_data or {})}, space)
    if budget.grows == "data":
        notes = [*notes, *note_on(train_dataloaders)]
    return Plan(
        package=package,
        model=models,
        data=data,
        trainer=trainers,
        loaders=Loaders(train_dataloaders, val_dataloaders, data.instance),
        max_epochs=max_epochs,
        budget=budget,
        schedule=schedule.resolve(budget),
        baselines=baselines,
        notes=notes,
        settings={
            "model": models.name,
            "datamodule": None if datamodule is None else data.name,
            "trainer": plain(dict(trainer)) if isinstance(trainer, Mapping) else plain(trainer),
            "max_epochs": max_epochs if max_epochs < float("inf") else None,
        },
    )


def _is_datamodule(thing: Any) -> bool:
    return home_of(thing) is not None and hasattr(thing, "train_dataloader")
