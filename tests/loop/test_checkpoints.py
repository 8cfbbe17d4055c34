import warnings
from types import SimpleNamespace

import lightning.pytorch as pl
import pytest
import torch

from lightning_tune.errors import CheckpointError
from lightning_tune.loop.checkpoints import (
    Saver,
    best_weights,
    read_checkpoint,
    unloadable,
    weights_of,
)
from lightning_tune.loop.files import SweepFiles


class Odd:
    """Nothing that `weights_only=True` loads."""


class Channel:
    def __init__(self):
        self.saves = []

    def saved(self, *event):
        self.saves.append(event)


def test_what_cannot_be_loaded_again_is_named_by_its_key():
    assert unloadable({"a": torch.ones(2), "b": {"c": (1, "x", None)}}) is None
    assert "'callbacks', in 'Mine'" in unloadable({"a": 1, "callbacks": {"Fine": 1, "Mine": Odd()}})
    assert "'odd'" in unloadable({"odd": Odd()})


def test_a_state_that_cannot_be_saved_costs_one_warning(tmp_path):
    saver = Saver(files=SweepFiles(tmp_path), trial=3, leg=0, channel=Channel())
    with pytest.warns(UserWarning, match=r"trial 3 cannot be saved: its state under 'odd'.*starts again"):
        assert saver.write("pause", 1.0, {"odd": Odd()}) is None
    assert not saver.works
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert saver.write("pause", 2.0, {"odd": Odd()}) is None
    assert not list(tmp_path.rglob("*.ckpt"))


def test_a_checkpoint_comes_back_as_it_went_in(tmp_path):
    channel, files = Channel(), SweepFiles(tmp_path)
    state = {"state_dict": {"w": torch.arange(3.0)}, "epoch": 2}
    ref = Saver(files=files, trial=0, leg=1, channel=channel).write("pause", 2.5, state)
    assert ref.path == "trials/0/pause-1-2.5.ckpt"
    assert channel.saves == [(0, 1, 2.5, "pause", ref)]
    back = read_checkpoint(files.check(ref))
    assert torch.equal(back["state_dict"]["w"], state["state_dict"]["w"])


@pytest.mark.parametrize(
    "content", [{"_instantiator": "os.system", "state_dict": {}}, {"_class_path": "x"}, [1, 2]]
)
def test_keys_that_name_classes_are_refused(tmp_path, content):
    torch.save(content, tmp_path / "a.ckpt")
    with pytest.raises(CheckpointError, match="not one of ours"):
        read_checkpoint(tmp_path / "a.ckpt")


def test_nothing_in_a_file_is_ever_run(tmp_path):
    class Bomb:
        def __reduce__(self):
            return (open, (str(tmp_path / "went-off"), "w"))

    torch.save({"state_dict": Bomb()}, tmp_path / "a.ckpt")
    with pytest.raises(CheckpointError, match="cannot be loaded"):
        read_checkpoint(tmp_path / "a.ckpt")
    assert not (tmp_path / "went-off").exists()


def test_the_best_weights_come_with_their_epoch_in_whatever_unit_budgets_are_counted():
    reporting = SimpleNamespace(weights={"w": torch.ones(1)}, best_step=4096.0, best_epoch=2.5)
    saved = best_weights(reporting, pl)
    assert saved["epoch"] == 2
    assert saved["state_dict"] is reporting.weights


def test_a_paused_trials_best_weights_are_found():
    last, best = {"w": torch.zeros(1)}, {"w": torch.ones(1)}
    paused = {"state_dict": last, "callbacks": {"Other": {"weights": 3}, "TuneReporting": {"weights": best}}}
    assert weights_of(paused) is best
    assert weights_of({"state_dict": last}) is last
    assert weights_of({"state_dict": last, "callbacks": {"TuneReporting": {"weights": None}}}) is last
