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
from lightning_tune.testing.models import tiny_data, tiny_module

Tiny, TinyData = tiny_module(pl), tiny_data(pl)


class Plateau(Tiny):
    def configure_optimizers(self):
        sgd = torch.optim.SGD(self.parameters(), self.lr, momentum=0.9)
        schedule = torch.optim.lr_scheduler.ReduceLROnPlateau(sgd, patience=0)
        return {"optimizer": sgd, "lr_scheduler": {"scheduler": schedule, "monitor": "val_loss"}}


def sweep(root, every_s, repeats):
    """Run the sweep and return all that it came to, without times."""
    result = TuneLoop(
        {"lr": Float(1e-3, 1e-1, log=True)},
        monitor="val_loss",
        max_trials=2,
        repeats=repeats,
        seed=3,
        checkpoint_every_s=every_s,
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


def in_a_child(root, every_s, repeats, kill_after):
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
                json.dump([sweep(root, every_s, repeats), writes], pipe)
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
@pytest.mark.parametrize(("every_s", "repeats"), [(0.0, 1), (60.0, 2)])
def test_killed_after_any_write_it_ends_the_same(tmp_path, every_s, repeats):
    expected, writes = in_a_child(tmp_path / "whole", every_s, repeats, 0)
    assert writes > 20
    for kill_after in range(1, writes):
        root = tmp_path / str(kill_after)
        assert in_a_child(root, every_s, repeats, kill_after) is None
        assert in_a_child(root, every_s, repeats, 0)[0] == expected, f"killed after write {kill_after}"
