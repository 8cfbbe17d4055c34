from pathlib import Path

import lightning.pytorch as pl
import pytest
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint, TQDMProgressBar
from lightning.pytorch.loggers import CSVLogger

from lightning_tune.core.space import Choice, Float, Int, Space
from lightning_tune.errors import ArgumentError
from lightning_tune.loop.trainers import loggers_of, trainer_recipe

SPACE = Space({"lr": Float(0, 1)})


class First(pl.Callback):
    pass


class Last(pl.Callback):
    pass


def build(trainer, tmp_path, space=SPACE, config=None, verbose=False, resumed=False):
    recipe, max_epochs = trainer_recipe(trainer, space, pl, None, verbose)
    built = recipe.build(
        config or {}, pause=First(), reporting=Last(), loggers=[], folder=str(tmp_path), resumed=resumed
    )
    return built, max_epochs


def names(trainer):
    return [type(callback).__name__ for callback in trainer.callbacks]


@pytest.mark.parametrize("form", ["arguments", "template", "callable"])
def test_our_callbacks_come_first_and_last(tmp_path, form):
    def arguments():
        callbacks = [ModelCheckpoint(monitor="x"), EarlyStopping("x")]
        return {"max_epochs": 3, "accelerator": "cpu", "callbacks": callbacks}

    trainer = {
        "arguments": arguments(),
        "template": pl.Trainer(**arguments(), logger=False),
        "callable": lambda config: pl.Trainer(**arguments(), logger=False),
    }[form]
    built, max_epochs = build(trainer, tmp_path)
    assert names(built) == ["First", "EarlyStopping", "ModelCheckpoint", "Last"]
    assert Path(built.callbacks[-2].dirpath) == tmp_path / "checkpoints"
    assert max_epochs == (float("inf") if form == "callable" else 3)


def test_a_default_checkpoint_is_left_out_and_bars_are_quiet_unless_asked_for(tmp_path):
    template = pl.Trainer(max_epochs=1, accelerator="cpu", logger=False)
    assert names(build(template, tmp_path)[0]) == ["First", "Last"]
    assert any("ProgressBar" in name for name in names(build(template, tmp_path, verbose=True)[0]))
    assert names(build({"max_epochs": 1, "accelerator": "cpu"}, tmp_path)[0]) == ["First", "Last"]


def test_a_bar_that_the_user_adds_stays(tmp_path):
    trainer = {"max_epochs": 1, "accelerator": "cpu", "callbacks": TQDMProgressBar()}
    assert "TQDMProgressBar" in names(build(trainer, tmp_path)[0])


def test_keys_of_the_space_reach_the_trainer(tmp_path):
    space = Space({"trainer.gradient_clip_val": Choice([0.5, 1.0]), "trainer.max_epochs": Int(1, 9)})
    built, max_epochs = build(
        {"accelerator": "cpu"}, tmp_path, space, {"trainer.gradient_clip_val": 0.5, "trainer.max_epochs": 7}
    )
    assert (built.gradient_clip_val, built.max_epochs) == (0.5, 7)
    assert max_epochs == float("inf")


def test_a_resumed_leg_has_no_sanity_check(tmp_path):
    assert build({"max_epochs": 1, "accelerator": "cpu"}, tmp_path, resumed=True)[0].num_sanity_val_steps == 0


@pytest.mark.parametrize(
    ("trainer", "space", "message"),
    [
        ({"max_epochs": 1}, {"trainer.max_epochs": Int(1, 2)}, "`max_epochs` is given twice"),
        ({"max_epochs": 1}, {"trainer.logger": Choice([True, False])}, "'trainer.logger' cannot be searched"),
        ("a Trainer", {"lr": Float(0, 1)}, "`trainer` must be a dictionary"),
    ],
)
def test_what_a_trial_cannot_have_is_refused(trainer, space, message):
    with pytest.raises(ArgumentError, match=message):
        trainer_recipe(trainer, Space(space), pl, None, False)


def test_a_finished_trainer_takes_no_keys(tmp_path):
    template = pl.Trainer(max_epochs=1, accelerator="cpu", logger=False)
    with pytest.raises(ArgumentError, match="finished Trainer: pass its arguments as a dictionary"):
        trainer_recipe(template, Space({"trainer.max_epochs": Int(1, 2)}), pl, None, False)


def test_a_templates_own_loggers_are_found_and_its_default_ones_passed_over(tmp_path):
    own = CSVLogger(tmp_path, name="mine")
    quiet = {"max_epochs": 1, "accelerator": "cpu", "default_root_dir": tmp_path}
    assert loggers_of(pl.Trainer(logger=own, **quiet)) == [own]
    assert loggers_of(pl.Trainer(**quiet)) is True
    assert loggers_of(pl.Trainer(logger=False, **quiet)) is False
    assert loggers_of({"max_epochs": 1}) is True
