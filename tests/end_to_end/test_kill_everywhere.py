"""Killed after any single write, a sweep that is fitted again ends as one that never was: promise 3."""

import json
import os
import traceback

import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch.callbacks import EarlyStopping

from lightning_tune import Float, TuneLoop
from lightning_tune.loop.files import SweepFiles
from lightning_tune.loop.journal import Journal
from lightning_tune.schedule import ASHA, SuccessiveHalving
from lightning_tune.testing.models import tiny_data, tiny_module

Tiny, TinyData = tiny_module(pl), tiny_data(pl)


class Plateau(Tiny):
    def configure_optimizers(self):
        sgd = torch.optim.SGD(self.parameters(), self.lr, momentum=0.9)
        schedule = torch.optim.lr_scheduler.ReduceLROnPlateau(sgd, patience=0)
        return {"optimizer": sgd, "lr_scheduler": {"scheduler": schedule, "monitor": "val_loss"}}


SWEEPS = {
    "saved after every epoch": {"max_trials": 2, "checkpoint_every_s": 0.0},
    "repeats": {"max_trials": 2, "repeats": 2},
    "halving": {"schedule": SuccessiveHalving(3, 1, 2), "checkpoint_every_s": 0.0},
    "halving of repeats": {"schedule": SuccessiveHalving(2, 2, 2), "repeats": 2},
    "asha": {"max_trials": 4, "schedule": ASHA(eta=2)},
}


def sweep(root, which):
    """Run the sweep and return all that it came to, without times."""
    result = TuneLoop(
        {"lr": Float(1e-3, 1e-1, log=True)},
        monitor="val_loss",
        seed=3,
        **SWEEPS[which],
        trainer={
            "max_epochs": 3,
            "accelerator": "cpu",
            "callbacks": [EarlyStopping("val_acc", mode="max", patience=1, check_on_train_epoch_end=True)],
        },
        logger=False,
        root_dir=root,
        name="s",
    ).fit(Plateau, datamodule=TinyData)
    weights = torch.load(result.best.checkpoint, weights_only=True)["state_dict"]
    return {
        "trials": [
            [
                t.number,
                t.config,
                t.seed,
                t.state,
                t.reason,
                t.epochs,
                [[r.leg, r.step, r.metrics] for r in t.reports],
            ]
            for t in result.trials
        ],
        "best": [result.best.number, {name: value.tolist() for name, value in weights.items()}],
        "files": sorted(str(path.relative_to(root)) for path in root.rglob("*.ckpt")),
    }


def in_a_child(root, which, kill_after):
    """Run it in a forked process that dies after so many writes; return its result and how many it made."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.environ["LIGHTNING_TUNE_SCREEN"] = "none"
        writes = 0

        def counted(method):
            def call(self, *args, **kwargs):
                nonlocal writes
                result = method(self, *args, **kwargs)
                writes += 1
                if writes == kill_after:
                    os._exit(9)
                return result

            return call

        for kind, name in (
            (Journal, "record"),
            (Journal, "report"),
            (SweepFiles, "write"),
            (SweepFiles, "remove"),
        ):
            setattr(kind, name, counted(getattr(kind, name)))
        code = 1
        try:
            with os.fdopen(write, "w") as pipe:
                json.dump([sweep(root, which), writes], pipe)
            code = 0
        except Exception:
            traceback.print_exc()
        finally:
            os._exit(code)
    os.close(write)
    with os.fdopen(read) as pipe:
        text = pipe.read()
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert status == (9 if kill_after else 0)
    return json.loads(text) if text else None


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.parametrize("which", SWEEPS)
def test_killed_after_any_write_it_ends_the_same(tmp_path, which):
    expected, writes = in_a_child(tmp_path / "whole", which, 0)
    assert writes > 20
    for kill_after in range(1, writes):
        root = tmp_path / str(kill_after)
        assert in_a_child(root, which, kill_after) is None
        assert in_a_child(root, which, 0)[0] == expected, f"killed after write {kill_after}"
