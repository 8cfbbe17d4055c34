"""`ReplaceNorms` inside real Trainers of both packages, and norms as a hyperparameter of a sweep."""

import copy
import logging
import pickle

import lightning.pytorch as pl
import pytest
import pytorch_lightning
import torch
from lightning.pytorch.callbacks import EMAWeightAveraging
from torch import nn

from lightning_tune import Choice, Float, GridSearch, ReplaceNorms, SuccessiveHalving, TuneLoop, norm
from lightning_tune.errors import ArgumentError
from lightning_tune.norm import replace_norms
from lightning_tune.testing.models import tiny_data, tiny_loaders

QUIET = {
    "accelerator": "cpu",
    "logger": False,
    "enable_progress_bar": False,
    "enable_model_summary": False,
}


def net(package=pl):
    class Net(package.LightningModule):
        """A classifier with batch norm; with `norm` given, with another."""

        def __init__(self, lr=0.05, norm=None, late=False):
            super().__init__()
            self.save_hyperparameters()
            self.net = None if late else self.layers()
            if norm is not None:
                self.replacement = replace_norms(self.net, to=norm)

        def layers(self):
            return nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3))

        def configure_model(self):
            if self.net is None:
                self.net = self.layers()

        def training_step(self, batch, index):
            inputs, labels = batch
            return nn.functional.cross_entropy(self.net(inputs), labels)

        def validation_step(self, batch, index):
            inputs, labels = batch
            self.log("val_acc", (self.net(inputs).argmax(1) == labels).float().mean())

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), self.hparams["lr"], momentum=0.9)

    return Net


Net, Data = net(), tiny_data(pl)


@pytest.fixture(autouse=True)
def _still():
    """Let no line of Lightning's own through."""
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)


def fit(module, *callbacks, package=pl, ckpt_path=None, epochs=1, folder=None, **trainer):
    package.seed_everything(0, verbose=False)
    trainer = package.Trainer(
        **{
            **QUIET,
            "max_epochs": epochs,
            "default_root_dir": folder,
            "enable_checkpointing": False,
            **trainer,
        },
        callbacks=list(callbacks),
    )
    trainer.fit(module, *tiny_loaders(), ckpt_path=ckpt_path, weights_only=True if ckpt_path else None)
    return trainer


@pytest.mark.parametrize("package", [pl, pytorch_lightning])
def test_the_same_kind_trains_to_the_same_weights(package):
    torch.manual_seed(0)
    plain = net(package)()
    swapped = copy.deepcopy(plain)
    fit(plain, package=package, epochs=3)
    callback = ReplaceNorms()
    fit(swapped, callback, package=package, epochs=3)
    assert type(swapped.net[1]) is norm.BatchNorm1d
    assert [swap.names for swap in callback.replacement.swaps] == [("net.1",)]
    for ours, theirs in zip(swapped.state_dict().values(), plain.state_dict().values(), strict=True):
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize("package", [pl, pytorch_lightning])
def test_the_optimizer_trains_the_new_layers(package):
    module = net(package)()
    trainer = fit(module, ReplaceNorms("layer_norm"), package=package)
    held = {id(p) for group in trainer.optimizers[0].param_groups for p in group["params"]}
    assert held == {id(parameter) for parameter in module.parameters()}
    assert type(module.net[1]) is norm.GroupNorm
    assert not torch.equal(module.net[1].weight, torch.ones(8))


def test_a_resumed_checkpoint_loads(tmp_path):
    whole = Net()
    start = copy.deepcopy(whole.state_dict())
    fit(whole, ReplaceNorms("layer_norm"), epochs=4)
    first, second = Net(), Net()
    first.load_state_dict(start)
    trainer = fit(first, ReplaceNorms("layer_norm"), epochs=2)
    trainer.save_checkpoint(tmp_path / "half.ckpt")
    callback = ReplaceNorms("layer_norm")
    trainer = fit(second, callback, epochs=4, ckpt_path=tmp_path / "half.ckpt")
    assert trainer.current_epoch == 4
    assert len(callback.replacement.swaps) == 1
    with pytest.raises(RuntimeError, match=r"Unexpected key.* net\.1\.running_mean|Missing key"):
        fit(Net(), epochs=4, ckpt_path=tmp_path / "half.ckpt")


def test_it_is_done_once_a_module():
    made = []

    def to(old):
        made.append(old)
        return nn.LayerNorm(8)

    callback, module = ReplaceNorms(to), Net()
    trainer = fit(module, callback)
    layer, trained = module.net[1], module.net[1].weight.detach().clone()
    trainer.validate(module, tiny_loaders()[1], verbose=False)
    trainer.fit_loop.max_epochs = 2
    trainer.fit(module, *tiny_loaders())
    assert module.net[1] is layer
    assert len(made) == 1
    assert not torch.equal(trained, layer.weight)
    other = Net()
    trainer.validate(other, tiny_loaders()[1], verbose=False)
    assert len(made) == 2
    assert type(other.net[1]) is nn.LayerNorm


def test_a_test_of_a_fresh_module_loads_the_checkpoint(tmp_path):
    module = Net()
    trainer = fit(module, ReplaceNorms("rms_norm"))
    trainer.save_checkpoint(tmp_path / "it.ckpt")
    expected = trainer.validate(module, tiny_loaders()[1], verbose=False)
    fresh = pl.Trainer(**QUIET, enable_checkpointing=False, callbacks=[ReplaceNorms("rms_norm")])
    found = fresh.validate(
        Net(), tiny_loaders()[1], ckpt_path=tmp_path / "it.ckpt", weights_only=True, verbose=False
    )
    assert found == expected


@pytest.mark.filterwarnings("ignore:You're using the WeightAveraging callback:UserWarning")
def test_averaged_weights_have_the_new_layers_if_it_comes_first():
    module = Net()
    fit(module, ReplaceNorms("layer_norm"), EMAWeightAveraging(decay=0.5))
    assert type(module.net[1]) is norm.GroupNorm


def test_layers_that_are_made_later_are_not_seen_and_that_is_told():
    module = Net(late=True)
    with pytest.warns(UserWarning, match="found no norm layer in Net. It comes before .*`configure_model`"):
        fit(module, ReplaceNorms())
    assert type(module.net[1]) is nn.BatchNorm1d


def test_what_is_left_is_told_and_the_rest_if_asked_for(caplog):
    class Mine(nn.BatchNorm1d):
        pass

    module = Net()
    module.net[1] = Mine(8)
    with pytest.warns(UserWarning, match=r"left norm layers as they are: net\.1: Mine left, it is a class"):
        fit(module, ReplaceNorms())
    logging.getLogger("lightning.pytorch").setLevel(logging.INFO)
    with caplog.at_level(logging.INFO):
        fit(Net(), ReplaceNorms("none", verbose=True))
    assert "ReplaceNorms: 1 swapped.\nnet.1: BatchNorm1d -> Identity(), new parameters" in caplog.text


def test_arguments_are_checked_at_once():
    for arguments in ({"to": "norm"}, {"kinds": "norm"}, {"backend": "norm"}):
        with pytest.raises(ArgumentError, match="got 'norm'"):
            ReplaceNorms(**arguments)
    with pytest.raises(ArgumentError, match="leave none"):
        fit(Net(), ReplaceNorms(include="encoder.*"))


def test_copies_and_pickles_know_of_no_module():
    callback = ReplaceNorms("layer_norm", kinds=["batch_norm"], exclude="head.*")
    callback.setup(None, Net(), "fit")
    for twin in (copy.deepcopy(callback), pickle.loads(pickle.dumps(callback))):
        module = Net()
        fit(module, twin)
        assert type(module.net[1]) is norm.GroupNorm
        assert repr(twin) == "ReplaceNorms(to='layer_norm', kinds=['batch_norm'], exclude='head.*')"


@pytest.mark.filterwarnings("ignore")
def test_a_file_of_lightning_cli_can_name_it(tmp_path, monkeypatch):
    from lightning.pytorch.cli import LightningCLI

    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.yaml").write_text(
        """
trainer:
  max_epochs: 1
  accelerator: cpu
  logger: false
  enable_checkpointing: false
  enable_progress_bar: false
  callbacks:
    - class_path: lightning_tune.ReplaceNorms
      init_args:
        to: layer_norm
        kinds: [batch_norm]
        exclude: head.*
"""
    )
    cli = LightningCLI(Net, Data, args=["fit", "--config", "config.yaml"], save_config_callback=None)
    callback = next(each for each in cli.trainer.callbacks if isinstance(each, ReplaceNorms))
    assert (callback.to, callback.kinds, callback.exclude) == ("layer_norm", ["batch_norm"], "head.*")
    assert type(cli.model.net[1]) is norm.GroupNorm


# -- in a sweep


def loop(tmp_path, space, **given):
    defaults = {
        "monitor": "val_acc",
        "mode": "max",
        "search": GridSearch(1),
        "trainer": {"max_epochs": 2, "accelerator": "cpu"},
        "logger": False,
        "root_dir": tmp_path,
        "name": "norms",
    }
    return TuneLoop(space, **{**defaults, **given})


NORMS = {"batch_norm": norm.BatchNorm1d, "layer_norm": norm.GroupNorm, "none": nn.Identity}


def test_the_norm_as_a_hyperparameter(tmp_path):
    """The module replaces its norms itself, so that any checkpoint of the sweep loads."""
    space = {"lr": Float(1e-3, 1e-1, log=True), "norm": Choice(list(NORMS))}
    result = loop(tmp_path, space, max_trials=3, keep_checkpoints=3).fit(Net, datamodule=Data)
    assert {trial.config["norm"]: trial.state for trial in result.trials} == dict.fromkeys(NORMS, "completed")
    best = result.best.load(Net)
    assert type(best.net[1]) is NORMS[result.best.config["norm"]]
    for trial in result.trials:
        module = trial.load(Net)
        (accuracy,) = pl.Trainer(**QUIET, enable_checkpointing=False).validate(
            module, tiny_loaders()[1], verbose=False
        )
        assert accuracy["val_acc"] == pytest.approx(trial.score)


def test_the_callback_in_a_sweep(tmp_path):
    """The model knows of no norm: model and Trainer are made of the configuration by callables."""
    made = {}

    def model(config):
        made[config["norm"]] = Net(lr=config["lr"])
        return made[config["norm"]]

    def trainer(config):
        return pl.Trainer(
            **QUIET, enable_checkpointing=False, max_epochs=2, callbacks=[ReplaceNorms(config["norm"])]
        )

    space = {"lr": Float(1e-3, 1e-1, log=True), "norm": Choice(list(NORMS))}
    result = loop(tmp_path, space, max_trials=3, trainer=trainer).fit(model, datamodule=Data)
    assert [trial.state for trial in result.trials] == ["completed"] * 3
    assert {name: type(module.net[1]) for name, module in made.items()} == NORMS


def test_the_callback_as_it_stands_in_a_sweep_with_pauses(tmp_path):
    """Each leg of a trial has a new module and a copy of the callback; scores are those of torch.nn."""
    space = {"lr": Float(1e-3, 1e-1, log=True)}
    results = []
    for name, callbacks in (("ours", [ReplaceNorms()]), ("theirs", [])):
        sweep = loop(
            tmp_path,
            space,
            name=name,
            trainer={"max_epochs": 4, "accelerator": "cpu", "callbacks": callbacks},
            search="random",
            schedule=SuccessiveHalving(4, min_budget=1, eta=2),
            max_trials=4,
        )
        results.append(sweep.fit(Net, datamodule=Data))
    ours, theirs = ([[r.values for r in trial.reports] for trial in result.trials] for result in results)
    assert ours == theirs
    legs = [max(r.leg for r in trial.reports) for trial in results[0].trials]
    assert max(legs) > min(legs), legs
