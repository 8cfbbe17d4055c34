import lightning.pytorch as pl
import pytest

from lightning_tune.core.space import Choice, Float, Space
from lightning_tune.errors import ArgumentError, UnknownArgumentError
from lightning_tune.loop.recipe import data_recipe, model_recipe
from lightning_tune.testing.models import tiny_data, tiny_module

Tiny, TinyData = tiny_module(pl), tiny_data(pl)


class Needs(pl.LightningModule):
    def __init__(self, lr, width=3):
        super().__init__()
        self.lr, self.width = lr, width


def test_a_class_is_built_from_its_part_of_the_configuration():
    recipe, own = model_recipe(Needs, Space({"lr": Float(0, 1)}))
    assert own is None
    assert recipe.build({"lr": 0.5}, {"lr": 0.5}).lr == 0.5


def test_a_required_argument_must_be_there_in_every_branch():
    space = Space({"kind": Choice({"a": {"lr": Float(0, 1)}, "b": {}})})
    with pytest.raises(UnknownArgumentError, match="'kind'"):
        model_recipe(Needs, space)
    branches = Space({"width": Choice({1: {"lr": Float(0, 1)}, 2: {}})})
    with pytest.raises(UnknownArgumentError, match="needs the argument `lr`"):
        model_recipe(Needs, branches)


def test_an_instance_brings_its_values_and_keeps_those_that_are_not_searched():
    recipe, own = model_recipe(Tiny(lr=0.3, dropout=0.2), Space({"lr": Float(0, 1)}))
    assert own == {"lr": 0.3}
    built = recipe.build({"lr": 0.7}, {"lr": 0.7})
    assert (built.hparams["lr"], built.hparams["dropout"]) == (0.7, 0.2)


def test_a_datamodule_instance_without_searched_keys_is_used_as_it_is():
    data = TinyData(16)
    recipe, own = data_recipe(data, Space({"lr": Float(0, 1)}))
    assert recipe.build({}, {}) is data
    assert own is None


def test_a_datamodule_instance_with_searched_keys_is_built_anew():
    recipe, own = data_recipe(TinyData(16), Space({"data.batch_size": Choice([8, 16])}))
    assert own == {"data.batch_size": 16}
    assert recipe.build({}, {"batch_size": 8}).batch_size == 8


@pytest.mark.parametrize("wrong", [3, dict, "LitDigits"])
def test_other_things_are_no_models(wrong):
    with pytest.raises(ArgumentError, match="`model` must be a LightningModule class"):
        model_recipe(wrong, Space({"lr": Float(0, 1)}))


class Deep(pl.LightningModule):
    def __init__(self, depth, lr=0.1):
        super().__init__()
        self.save_hyperparameters()


@pytest.mark.parametrize("key", ["depth", "model.depth"])
def test_an_argument_that_grows_may_not_be_searched(key):
    with pytest.raises(ArgumentError, match="sets the argument `depth` .* the space has it too"):
        model_recipe(Deep, Space({key: Choice([1, 2])}), "depth")


@pytest.mark.parametrize("model", [Deep, Deep(2)], ids=["class", "instance"])
def test_an_argument_that_grows_must_be_one_and_counts_as_given(model):
    space = Space({"lr": Float(0, 1)})
    assert model_recipe(model, space, "depth")[0].build({}, {"lr": 0.5, "depth": 3}).hparams["depth"] == 3
    with pytest.raises(
        UnknownArgumentError,
        match=r"no argument 'dept' \(`budget='model.dept'`\).* Did you mean 'model.depth'",
    ):
        model_recipe(model, space, "dept")


def test_a_callable_gets_the_size_in_its_configuration():
    recipe, _ = model_recipe(lambda config: config["depth"], Space({"lr": Float(0, 1)}), "depth")
    assert recipe.build({"lr": 0.5, "depth": 3}, {}) == 3
