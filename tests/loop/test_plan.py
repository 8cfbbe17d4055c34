import lightning.pytorch as pl
import pytest

from lightning_tune.core.budget import Budget
from lightning_tune.core.space import Choice, Float, Space
from lightning_tune.errors import ArgumentError
from lightning_tune.loop.plan import make_plan
from lightning_tune.schedule import FullBudget
from lightning_tune.testing.models import tiny_data, tiny_loaders, tiny_module

Tiny, TinyData = tiny_module(pl), tiny_data(pl)
SPACE = Space({"lr": Float(0.0, 1.0), "data.batch_size": Choice([8, 16])})


def plan(model=Tiny, train=None, validation=None, datamodule=None, space=SPACE, **given):
    settings = {
        "trainer": {"max_epochs": 3},
        "baseline": None,
        "devices": None,
        "verbose": False,
        "schedule": FullBudget(),
        "budget": Budget(),
        **given,
    }
    return make_plan(
        space=space,
        model=model,
        train_dataloaders=train,
        val_dataloaders=validation,
        datamodule=datamodule,
        **settings,
    )


def test_everything_that_a_sweep_needs_is_in_it():
    made = plan(datamodule=TinyData)
    assert (made.package, made.max_epochs) == (pl, 3.0)
    assert made.settings == {
        "model": "TinyModule",
        "datamodule": "TinyData",
        "trainer": {"max_epochs": 3},
        "max_epochs": 3.0,
    }


def test_instances_of_both_are_one_baseline():
    made = plan(model=Tiny(lr=0.25), datamodule=TinyData(16))
    assert made.baselines == [{"lr": 0.25, "data.batch_size": 16}]


def test_values_outside_the_space_are_noted():
    made = plan(model=Tiny(lr=7.0), datamodule=TinyData(16))
    assert made.baselines == []
    assert "outside the space" in made.notes[0]


def test_a_datamodule_in_the_first_place_is_understood_as_in_trainer_fit():
    assert plan(train=TinyData).data.name == "TinyData"


def test_loaders_and_a_datamodule_are_refused():
    with pytest.raises(ArgumentError, match="not both"):
        plan(train=tiny_loaders()[0], datamodule=TinyData)
