"""Who ended a run, and why, as the callbacks themselves tell it in real Trainers."""

import importlib
from types import SimpleNamespace

import lightning.pytorch as pl
import pytest
from lightning.pytorch.callbacks import EarlyStopping, Timer

from lightning_tune import CurveExtrapolationStopping, SuccessiveHalvingPruner
from lightning_tune.callbacks.stopper import early_stop, stops_runs
from lightning_tune.testing.models import tiny_data, tiny_module

QUIET = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}


@pytest.mark.parametrize("package", ["lightning.pytorch", "pytorch_lightning"])
def test_callbacks_that_stop_runs_are_known_by_their_class(package):
    callbacks = importlib.import_module(f"{package}.callbacks")

    class Own(callbacks.EarlyStopping):
        pass

    assert stops_runs(callbacks.EarlyStopping("loss"))
    assert stops_runs(Own("loss"))
    assert not stops_runs(callbacks.ModelCheckpoint())
    assert not stops_runs(callbacks.Callback())


def test_so_are_ours():
    assert stops_runs(CurveExtrapolationStopping("loss"))
    assert stops_runs(SuccessiveHalvingPruner("loss", sweep="s"))
    assert not stops_runs(Timer(duration="00:01:00:00"))


def ended(*callbacks, epochs=5):
    """Fit until one of the callbacks has had enough; return who it was, why, and after how many epochs."""
    trainer = pl.Trainer(
        **QUIET, max_epochs=epochs, accelerator="cpu", enable_checkpointing=False, callbacks=list(callbacks)
    )
    trainer.fit(tiny_module(pl)(), datamodule=tiny_data(pl)())
    return *early_stop(trainer, float(trainer.current_epoch)), trainer.current_epoch


@pytest.mark.parametrize(("patience", "epochs"), [(1, 2), (2, 3)])
def test_early_stopping_in_its_own_words(patience, epochs):
    stopper = EarlyStopping("val_loss", patience=patience, min_delta=10.0)
    who, why, at = ended(stopper)
    assert (who, at) == ("EarlyStopping", epochs)
    assert stopper.stopping_reason_message == f"{why}. Signaling Trainer to stop."
    assert "did not improve in the last" in why


def test_a_stop_in_the_first_epoch_is_known_by_its_words():
    """`stopped_epoch` is 0 then as it is without a stop."""
    idle = EarlyStopping("val_acc", mode="max", patience=9)
    who, why, at = ended(idle, EarlyStopping("val_loss", stopping_threshold=1e9))
    assert (who, at) == ("EarlyStopping", 1)
    assert why.startswith("Stopping threshold reached: val_loss = ")
    stopping = CurveExtrapolationStopping("val_loss", target=-50.0, threshold=0.9999, min_epochs=1)
    who, why, at = ended(idle, stopping)
    assert (who, stopping.reason, at) == ("CurveExtrapolationStopping", f"epoch 1: {why}", 1)
    assert "chance to beat -50 by epoch 5" in why


def test_the_pruner_says_so_too(tmp_path):
    """A second run that is no better than the first goes no further than the first rung."""
    pruners = [SuccessiveHalvingPruner("val_loss", sweep="s", store=tmp_path / "s.db") for _ in range(2)]
    pl.seed_everything(1, verbose=False)
    assert ended(pruners[0])[:2] == ("", "")
    pl.seed_everything(1, verbose=False)
    who, why, at = ended(pruners[1])
    assert (who, why, at) == ("SuccessiveHalvingPruner", pruners[1].reason, 1)
    assert why.startswith("rung at 1 epoch: 2nd of 2")


def test_a_callback_that_only_says_when_is_named():
    told = SimpleNamespace(stopped_epoch=4)
    trainer = SimpleNamespace(callbacks=[object(), told])
    assert early_stop(trainer, 5.0) == ("SimpleNamespace", "")
    assert early_stop(trainer, 6.0) == ("", "")
    told.stopped_epoch = 0
    assert early_stop(trainer, 1.0) == ("", "")
