"""What is measured when, by hand and inside real Trainers; test_reporting and test_halving try the rest."""

import math
from types import SimpleNamespace

import lightning.pytorch as pl
import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from lightning_tune.callbacks.measuring import (
    Watch,
    epochs_within,
    measured,
    numbers,
    steps_only,
    validates,
)
from lightning_tune.testing.models import tiny_loaders, tiny_module

Tiny = tiny_module(pl)
pytestmark = pytest.mark.filterwarnings("ignore")  # Lightning's tips about workers and logging intervals


def trainer(epoch=0, ready=0, batches=4.0, last=False, **attributes):
    progress = SimpleNamespace(is_last_batch=last, current=SimpleNamespace(ready=ready))
    loop = SimpleNamespace(epoch_loop=SimpleNamespace(batch_progress=progress))
    return SimpleNamespace(current_epoch=epoch, num_training_batches=batches, fit_loop=loop, **attributes)


@pytest.mark.parametrize(
    ("state", "epochs"),
    [
        ({"epoch": 2, "ready": 4, "last": True}, 3.0),
        ({"epoch": 2, "ready": 1}, 2.25),
        ({"epoch": 0, "ready": 3, "batches": float("inf")}, 0.75),
        ({"epoch": 5, "ready": 9, "batches": float("inf"), "last": True}, 6.0),
    ],
)
def test_a_validation_within_an_epoch_has_a_fraction(state, epochs):
    assert epochs_within(trainer(**state)) == epochs


def test_only_single_numbers_count_and_none_of_ours():
    metrics = {"a": torch.tensor(1.5), "b": torch.tensor([2.0]), "c": torch.ones(2), "tune/rung": 1.0, "d": 3}
    assert numbers(metrics) == {"a": 1.5, "b": 2.0, "d": 3.0}


@pytest.mark.parametrize(
    ("enabled", "batches", "expected"),
    [
        (True, [], True),
        (True, [3, 0], True),
        (True, 2, True),
        (True, [0], False),
        (True, 0, False),
        (False, [3], False),
    ],
)
def test_whether_a_validation_is_to_come(enabled, batches, expected):
    assert validates(trainer(enable_validation=enabled, num_val_batches=batches)) is expected


class Everything(Tiny):
    """Logs in every way: on steps, for epochs, both; in several hooks; now and then; twice by one name."""

    def on_train_start(self):
        self.log("size", 7.0)

    def training_step(self, batch, index):
        self.log("step", float(index))
        self.log("both", float(index), on_step=True, on_epoch=True)
        self.log("epoch", float(index), on_step=False, on_epoch=True)
        self.log("shared", -1.0, on_step=True, on_epoch=False)
        self.log("twice", -1.0, on_step=True, on_epoch=False)
        self.log("tune/rung", 1.0, on_step=False, on_epoch=True)
        if self.current_epoch >= 2:
            self.log("third", 4.0, on_step=False, on_epoch=True)
        return super().training_step(batch, index)

    def on_train_epoch_end(self):
        self.log("twice", 5.0)
        if self.current_epoch % 2:
            self.log("rare", float(self.current_epoch))

    def validation_step(self, batch, index, dataloader_idx=0):
        self.log("val", 10.0 * (dataloader_idx + 1) + index)
        self.log("val_both", float(index), on_step=True, on_epoch=True)
        self.log("shared", 3.0)


def fitted(callback, several=False, **trainer):
    train, validation = tiny_loaders(16)  # 4 batches of training, 1 of validation
    built = pl.Trainer(
        **{"max_epochs": 3, **trainer},
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[callback],
    )
    two = [validation, DataLoader(TensorDataset(torch.ones(4, 4), torch.zeros(4, dtype=int)), batch_size=2)]
    built.fit(Everything(), train, two if several else validation)
    return built


class Watching(pl.Callback):
    """Reads the monitors as the pruner does: what the module logs late, at the next epoch's start."""

    def __init__(self, *monitors):
        self.watch, self.read, self.own, self.steps = Watch(monitors), [], {}, {}

    def look(self, trainer, source):
        epoch = trainer.current_epoch if source != "next_epoch" else trainer.current_epoch - 1
        self.own[source, epoch] = measured(trainer, source)
        self.steps = steps_only(trainer)
        metrics = self.watch.read(trainer, source)
        if metrics is not None:
            self.read.append((source, epoch, *(metrics[name] for name in self.watch.monitors)))

    def on_validation_end(self, trainer, module):
        if not trainer.sanity_checking:
            self.look(trainer, "validation")

    def on_train_epoch_end(self, trainer, module):
        self.look(trainer, "train_epoch")

    def on_train_epoch_start(self, trainer, module):
        if trainer.current_epoch:
            self.look(trainer, "next_epoch")

    def on_train_end(self, trainer, module):
        self.look(trainer, "next_epoch")


def test_what_is_measured_at_each_moment():
    watching = Watching("val")
    fitted(watching, max_epochs=2)
    assert watching.own["validation", 0] == {
        "val": 10.0,
        "val_both": 0.0,
        "val_both_epoch": 0.0,
        "shared": 3.0,
    }
    train = watching.own["train_epoch", 0]
    assert {name: value for name, value in train.items() if name != "train_loss"} == {
        "size": 7.0,
        "both": 1.5,
        "both_epoch": 1.5,
        "epoch": 1.5,
    }
    assert watching.own["train_epoch", 1].keys() == train.keys() - {"size"}
    late = watching.own["next_epoch", 0]
    assert (late["twice"], late["both"]) == (5.0, 1.5)
    assert late.keys().isdisjoint({"step", "both_step", "rare"})


def test_values_of_batches_are_told_with_the_name_for_epochs():
    watching = Watching("val")
    fitted(watching, max_epochs=1)
    assert watching.steps == {"step": None, "both_step": "both", "val_both_step": "val_both"}


def test_several_validation_loaders_have_a_name_each():
    watching = Watching("val/dataloader_idx_1")
    fitted(watching, several=True, max_epochs=2)
    assert watching.read == [("validation", 0, 20.5), ("validation", 1, 20.5)]
    assert watching.own["validation", 0]["val/dataloader_idx_0"] == 10.0
    assert watching.steps["val_both_step/dataloader_idx_1"] == "val_both/dataloader_idx_1"


@pytest.mark.parametrize(
    ("monitors", "trainer", "expected"),
    [
        (["val"], {"val_check_interval": 0.5}, [("validation", e, 10.0) for e in (0, 0, 1, 1, 2, 2)]),
        (["both"], {"val_check_interval": 0.5}, [("train_epoch", e, 1.5) for e in range(3)]),
        (["twice"], {}, [("next_epoch", e, 5.0) for e in range(3)]),
        (["shared"], {}, [("validation", e, 3.0) for e in range(3)]),
        (["val", "shared"], {}, [("validation", e, 10.0, 3.0) for e in range(3)]),
        (["val", "both"], {"val_check_interval": 0.5}, [("train_epoch", e, 10.0, 1.5) for e in range(3)]),
        (["both", "val"], {"check_val_every_n_epoch": 2, "max_epochs": 5}, [
            ("train_epoch", e, 1.5, 10.0) for e in (1, 3)
        ]),
        (["val", "third"], {"check_val_every_n_epoch": 2, "max_epochs": 5}, [
            ("train_epoch", e, 10.0, 4.0) for e in (2, 3)
        ]),
        (["shared", "epoch"], {}, [("train_epoch", e, 3.0, 1.5) for e in range(3)]),
        (["val", "size"], {}, [("train_epoch", e, 10.0, 7.0) for e in range(3)]),
        (["epoch", "size"], {}, [("train_epoch", e, 1.5, 7.0) for e in range(3)]),
        (["step"], {}, []),
        (["both_step"], {}, []),
        (["val", "step"], {}, []),
    ],
)  # fmt: skip
def test_when_monitors_are_read(monitors, trainer, expected):
    watching = Watching(*monitors)
    fitted(watching, **trainer)
    assert watching.read == expected
    assert watching.watch.found is bool(expected)


def test_before_any_validation_their_number_is_not_known_and_one_is_awaited():
    chances = []

    class Asking(pl.Callback):
        def on_train_epoch_end(self, trainer, module):
            chances.append((trainer.num_val_batches, Watch(["val"]).had_its_chance(trainer)))

    fitted(Asking(), check_val_every_n_epoch=2, num_sanity_val_steps=0, max_epochs=2)
    assert chances == [([], False), ([1], False)]
    fitted(Asking(), limit_val_batches=0, max_epochs=1)
    assert chances[2][1] is True


def test_rank_zero_knows_what_was_measured():
    """On a rank where the monitor is not logged the same is due, so that none waits for another."""

    def broadcast(answer, source):
        return (["val"], None)

    rank = trainer(
        callback_metrics={"other": torch.tensor(1.0)},
        _results={},
        world_size=2,
        is_global_zero=False,
        strategy=SimpleNamespace(broadcast=broadcast),
    )
    watch = Watch(["val"])
    metrics = watch.read(rank, "validation")
    assert metrics.keys() == {"val", "other"}
    assert math.isnan(metrics["val"])
    assert watch.sources == {"val": "validation"}
    assert watch.read(rank, "train_epoch") is None
