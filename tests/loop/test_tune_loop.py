"""`TuneLoop` on tiny modules: what it takes, what it refuses, how it ends and how it goes on."""

import random
import signal
import warnings

import lightning.pytorch as pl
import numpy as np
import pytest
import pytorch_lightning
import torch
from lightning.pytorch.callbacks import EarlyStopping, EMAWeightAveraging, LearningRateFinder, ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger

from lightning_tune import Choice, Float, GridSearch, Int, OneAtATimeSearch, Space, TuneLoop
from lightning_tune.errors import (
    ArgumentError,
    CheckpointError,
    MonitorError,
    SpaceError,
    SweepBusyError,
    SweepExistsError,
    SweepFailedError,
    UnknownArgumentError,
)
from lightning_tune.schedule import ASHA
from lightning_tune.store import MemoryStore
from lightning_tune.testing.models import tiny_data, tiny_loaders, tiny_module

Tiny, TinyData = tiny_module(pl), tiny_data(pl)
SPACE = {"lr": Float(1e-3, 1e-1, log=True), "width": Int(4, 16)}


def loop(tmp_path, space=None, **given):
    defaults = {
        "monitor": "val_acc",
        "mode": "max",
        "max_trials": 3,
        "trainer": {"max_epochs": 2, "accelerator": "cpu"},
        "logger": False,
        "root_dir": tmp_path,
        "name": "s",
    }
    return TuneLoop(SPACE if space is None else space, **{**defaults, **given})


def curves(result):
    return [
        (trial.config, trial.state, [(r.step, r.values) for r in trial.reports]) for trial in result.trials
    ]


# -- what it does


def test_scores_equal_a_bare_trainers_bit_for_bit(tmp_path):
    result = loop(tmp_path, {**SPACE, "data.batch_size": Choice([16, 32])}).fit(Tiny, datamodule=TinyData)
    for trial in result.trials:
        pl.seed_everything(trial.seed, workers=True, verbose=False)
        module = Tiny(lr=trial.config["lr"], width=trial.config["width"])
        seen = []

        class Watch(pl.Callback):
            def on_validation_end(self, trainer, module, seen=seen):
                if not trainer.sanity_checking:
                    seen.append({name: float(value) for name, value in trainer.callback_metrics.items()})

        trainer = pl.Trainer(
            max_epochs=2, accelerator="cpu", logger=False, enable_checkpointing=False, callbacks=[Watch()],
            enable_progress_bar=False, enable_model_summary=False,
        )  # fmt: skip
        trainer.fit(module, datamodule=TinyData(trial.config["data.batch_size"]))
        assert [entry.metrics for entry in trial.reports] == seen
        assert trial.score == max(entry["val_acc"] for entry in seen)


def test_the_best_trial_comes_back_as_it_was_in_its_best_epoch(tmp_path):
    result = loop(tmp_path, trainer={"max_epochs": 4, "accelerator": "cpu"}).fit(Tiny, *tiny_loaders())
    best = result.best
    module = best.load(Tiny)
    inputs, labels = next(iter(tiny_loaders()[1]))
    assert not module.training
    assert float((module.net(inputs).argmax(1) == labels).float().mean()) == best.score
    again = Tiny.load_from_checkpoint(best.checkpoint, **best.config, weights_only=True)
    assert all(
        torch.equal(one, other) for one, other in zip(again.parameters(), module.parameters(), strict=True)
    )
    assert result.trials[best.number].checkpoint == best.checkpoint
    assert sum(trial.checkpoint is not None for trial in result.trials) == 1


def test_keep_checkpoints_keeps_the_best_few(tmp_path):
    result = loop(tmp_path, max_trials=5, keep_checkpoints=2).fit(Tiny, datamodule=TinyData)
    kept = {trial.number for trial in result.trials if trial.checkpoint}
    assert kept == {trial.number for trial in result.top(2)}
    none = loop(tmp_path, name="none", keep_checkpoints=0).fit(Tiny, datamodule=TinyData)
    assert not list((tmp_path / "none").rglob("*.ckpt"))
    with pytest.raises(Exception, match="has no checkpoint"):
        none.best.load(Tiny)


def test_fitting_again_goes_on_to_max_trials_in_all(tmp_path):
    whole = loop(tmp_path, name="whole", max_trials=5).fit(Tiny, datamodule=TinyData)
    first = loop(tmp_path, max_trials=2).fit(Tiny, datamodule=TinyData)
    second = loop(tmp_path, max_trials=5).fit(Tiny, datamodule=TinyData)
    third = loop(tmp_path, max_trials=5).fit(Tiny, datamodule=TinyData)
    assert [len(result.trials) for result in (first, second, third)] == [2, 5, 5]
    assert curves(second) == curves(third) == curves(whole)


def test_a_larger_max_epochs_lets_the_kept_trial_train_on(tmp_path):
    loop(tmp_path, max_trials=2).fit(Tiny, datamodule=TinyData)
    with pytest.warns(UserWarning, match="max_epochs: 2"):
        more = loop(tmp_path, max_trials=3, trainer={"max_epochs": 4, "accelerator": "cpu"}).fit(
            Tiny, datamodule=TinyData
        )
    assert sorted(trial.epochs for trial in more.trials) == [2, 4, 4]
    grown = next(trial for trial in more.trials[:2] if trial.epochs == 4)
    assert [entry.step for entry in grown.reports] == [1, 2, 3, 4]
    straight = loop(
        tmp_path, name="straight", max_trials=3, trainer={"max_epochs": 4, "accelerator": "cpu"}
    ).fit(Tiny, datamodule=TinyData)
    assert [e.values for e in grown.reports] == [e.values for e in straight.trials[grown.number].reports]


def test_periodic_saves_change_nothing(tmp_path):
    trainer = {"max_epochs": 5, "accelerator": "cpu"}
    plain = loop(tmp_path, trainer=trainer).fit(Tiny, datamodule=TinyData)
    saving = loop(tmp_path, name="saving", trainer=trainer, checkpoint_every_s=0).fit(
        Tiny, datamodule=TinyData
    )
    assert curves(plain) == curves(saving)
    one, other = (result.best.load(Tiny).state_dict() for result in (plain, saving))
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert not list((tmp_path / "saving").rglob("pause*"))


def test_repeats_share_a_configuration_and_are_scored_by_their_mean(tmp_path):
    result = loop(tmp_path, max_trials=2, repeats=3).fit(Tiny, datamodule=TinyData)
    assert [trial.group for trial in result.trials] == [0, 0, 0, 3, 3, 3]
    assert len({trial.seed for trial in result.trials}) == 6
    means = {g: np.mean([t.score for t in result.trials if t.group == g]) for g in (0, 3)}
    assert result.best.group == max(means, key=means.get)
    frame = result.dataframe()
    assert frame["score_mean"].iloc[0] == pytest.approx(means[0])
    scores = [trial.score for trial in result.trials[:3]]
    assert frame["score_stderr"].iloc[0] == pytest.approx(np.std(scores, ddof=1) / 3**0.5)


def test_an_instance_is_the_baseline_and_its_class_is_built_anew(tmp_path):
    result = loop(tmp_path).fit(Tiny(lr=0.02, width=5, dropout=0.3), datamodule=TinyData())
    assert result.trials[0].config == {"lr": 0.02, "width": 5}
    assert result.best.load(Tiny(dropout=0.3)).hparams.dropout == 0.3


def test_callables_get_the_whole_configuration(tmp_path):
    seen = []

    def build(config):
        seen.append(config)
        return Tiny(lr=config["lr"])

    result = loop(
        tmp_path,
        {"lr": Float(0.01, 0.1), "anything": Choice(["a", "b"])},
        trainer=lambda config: pl.Trainer(max_epochs=1, accelerator="cpu", logger=False),
    ).fit(build, datamodule=lambda config: TinyData(16))
    assert seen == [trial.config for trial in result.trials]
    assert all(trial.epochs == 1 for trial in result.trials)


def test_a_template_trainer_is_copied_and_left_alone(tmp_path):
    template = pl.Trainer(
        max_epochs=3,
        accelerator="cpu",
        logger=False,
        default_root_dir=tmp_path,
        callbacks=[EarlyStopping("val_loss")],
    )
    count = len(template.callbacks)
    result = loop(tmp_path, trainer=template).fit(Tiny, datamodule=TinyData)
    assert template.state.fn is None
    assert len(template.callbacks) == count
    assert [trial.epochs for trial in result.trials] == [3, 3, 3]


def test_callbacks_are_copied_for_each_trial(tmp_path):
    stopper, saver = EarlyStopping("val_acc", mode="max", patience=0), ModelCheckpoint(monitor="val_loss")
    trainer = {"max_epochs": 12, "accelerator": "cpu", "callbacks": [stopper, saver]}
    result = loop(tmp_path, trainer=trainer).fit(Tiny, datamodule=TinyData)
    assert stopper.stopped_epoch == 0
    assert all(
        "EarlyStopping ended it at epoch" in trial.reason for trial in result.trials if trial.epochs < 12
    )
    assert any(trial.epochs < 12 for trial in result.trials)
    for trial in result.trials:
        assert list((tmp_path / "s" / "trials" / str(trial.number) / "checkpoints").glob("*.ckpt"))


def test_grid_ends_by_itself_and_conditional_branches_reach_the_model(tmp_path):
    space = {"lr": Float(0.01, 0.1), "trainer.gradient_clip_val": Choice([None, 1.0])}
    result = loop(tmp_path, space, search=GridSearch(2), max_trials=None).fit(Tiny, datamodule=TinyData)
    assert len(result.trials) == 4
    assert "all 4 configurations" in result.reason


def test_one_at_a_time_keeps_the_best_value_of_each_round(tmp_path):
    search = OneAtATimeSearch(points=3)
    sweep = loop(tmp_path, search=search, max_trials=None, baseline={"lr": 0.001, "width": 4})
    result = sweep.fit(Tiny, datamodule=TinyData)
    found = search.sensitivity(result.space, result.history)
    assert [entry.key for entry in found] == ["lr", "width"]
    tried = [trial for trial in result.trials if trial.config["width"] == 4]
    best = max(tried, key=lambda trial: (trial.score, -trial.number))
    assert found[0].kept == best.config["lr"]
    assert all(
        trial.config["lr"] == best.config["lr"] for trial in result.trials if trial.config["width"] != 4
    )
    assert found[0].effect == pytest.approx(max(t.score for t in tried) - min(t.score for t in tried))


def test_limits_end_the_sweep(tmp_path):
    target = loop(tmp_path, target=0.3, max_trials=50).fit(Tiny, datamodule=TinyData)
    assert target.best.score >= 0.3
    assert "target 0.3 reached" in target.reason
    assert target.trials[-1].state in ("stopped", "completed")
    patience = loop(tmp_path, name="p", patience=2, min_delta=1.0, max_trials=50).fit(
        Tiny, datamodule=TinyData
    )
    assert len(patience.trials) == 3
    timed = loop(tmp_path, name="t", max_time=1e-9).fit(Tiny, datamodule=TinyData)
    assert timed.trials == []
    assert "max_time" in timed.reason


def test_max_time_pauses_the_running_trial_and_the_next_call_goes_on(tmp_path):
    trainer = {"max_epochs": 60, "accelerator": "cpu"}
    parts = [loop(tmp_path, max_trials=1, max_time=0.1, trainer=trainer).fit(Tiny, datamodule=TinyData)]
    while parts[-1].trials[0].state == "paused" and len(parts) < 60:
        parts.append(
            loop(tmp_path, max_trials=1, max_time=0.1, trainer=trainer).fit(Tiny, datamodule=TinyData)
        )
    whole = loop(tmp_path, name="whole", max_trials=1, trainer=trainer).fit(Tiny, datamodule=TinyData)
    assert len(parts) > 1
    assert curves(parts[-1]) == curves(whole)


def test_constraint_is_asked_before_a_trial_costs_anything(tmp_path):
    result = loop(tmp_path, constraint=lambda config: config["width"] > 10, max_trials=6).fit(
        Tiny, datamodule=TinyData
    )
    assert all(trial.config["width"] > 10 for trial in result.trials)
    with pytest.raises(SpaceError, match="`constraint` refused"):
        loop(tmp_path, name="no", constraint=lambda config: False).fit(Tiny, datamodule=TinyData)
    with pytest.raises(ArgumentError, match="`constraint` refuses the baseline"):
        loop(tmp_path, name="b", constraint=lambda c: c["width"] > 10, baseline={"lr": 0.01, "width": 5}).fit(
            Tiny, datamodule=TinyData
        )


def test_pytorch_lightning_is_used_where_the_user_uses_it(tmp_path):
    module, data = tiny_module(pytorch_lightning), tiny_data(pytorch_lightning)
    result = loop(tmp_path).fit(module, datamodule=data)
    assert [trial.state for trial in result.trials] == ["completed"] * 3
    assert isinstance(result.best.load(module), pytorch_lightning.LightningModule)


def test_global_random_states_and_variables_are_as_before(tmp_path, monkeypatch):
    monkeypatch.delenv("PL_GLOBAL_SEED", raising=False)
    random.seed(1)
    np.random.seed(1)
    torch.manual_seed(1)
    expected = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state()
    loop(tmp_path).fit(Tiny, datamodule=TinyData)
    assert random.getstate() == expected[0]
    assert np.random.get_state()[1].tolist() == expected[1]
    assert torch.equal(torch.get_rng_state(), expected[2])
    import os

    assert "PL_GLOBAL_SEED" not in os.environ


def test_loader_instances_look_the_same_to_every_trial(tmp_path):
    inputs, labels = tiny_loaders()[0].dataset.tensors
    generator = torch.Generator().manual_seed(3)
    train = torch.utils.data.DataLoader(
        torch.utils.data.TensorDataset(inputs, labels), batch_size=16, shuffle=True, generator=generator
    )
    space = {"lr": Float(0.001, 0.1)}
    result = loop(tmp_path, space, baseline=[{"lr": 0.05}, {"lr": 0.01}]).fit(Tiny, train, tiny_loaders()[1])
    alone = loop(tmp_path, space, name="alone", baseline=[{"lr": 0.05}, {"lr": 0.01}])
    generator.manual_seed(3)
    assert curves(alone.fit(Tiny, train, tiny_loaders()[1])) == curves(result)


def test_environment_variables_fill_in_what_is_left_out(tmp_path, monkeypatch):
    monkeypatch.setenv("LIGHTNING_TUNE_MAX_TRIALS", "7")
    monkeypatch.setenv("LIGHTNING_TUNE_SEED", "5")
    made = TuneLoop(SPACE, monitor="val_acc", mode="max", seed=2)
    assert (made.settings.limits.max_trials, made.settings.seed) == (7, 2)
    monkeypatch.setenv("LIGHTNING_TUNE_MAX_TRIALS", "[")
    with pytest.raises(ArgumentError, match="LIGHTNING_TUNE_MAX_TRIALS must be YAML"):
        TuneLoop(SPACE, monitor="val_acc", mode="max")


def test_a_monitor_logged_in_training_works_without_validation(tmp_path):
    result = loop(tmp_path, monitor="train_loss", mode="min").fit(Tiny, tiny_loaders()[0])
    assert [[entry.step for entry in trial.reports] for trial in result.trials] == [[1, 2]] * 3


def test_fast_dev_run_runs(tmp_path):
    result = loop(tmp_path, trainer={"fast_dev_run": True, "accelerator": "cpu"}).fit(
        Tiny, datamodule=TinyData
    )
    assert [trial.epochs for trial in result.trials] == [1, 1, 1]


def test_amend_goes_on_with_another_space(tmp_path):
    loop(tmp_path, {"lr": Float(1e-3, 1e-2), "width": Int(4, 8)}, max_trials=2).fit(Tiny, datamodule=TinyData)
    wider = {"lr": Float(1e-3, 1e-1), "width": 6}
    with pytest.raises(SweepExistsError, match="`amend=True`") as refused:
        loop(tmp_path, wider, max_trials=4).fit(Tiny, datamodule=TinyData)
    assert "lr" in str(refused.value)
    result = loop(tmp_path, wider, max_trials=4, amend=True).fit(Tiny, datamodule=TinyData)
    assert [trial.config["width"] == 6 for trial in result.trials[2:]] == [True, True]
    assert len(result.trials) == 4
    assert sorted(result.history.spaces) == [1, 2]


def test_enqueued_and_stopped_by_another_process(tmp_path):
    from lightning_tune.core.events import ConfigEnqueued, StopRequested

    store = MemoryStore()
    loop(tmp_path, store=store, max_trials=1).fit(Tiny, datamodule=TinyData)
    wanted = {"lr": 0.0123, "width": 9}
    store.append("s", [ConfigEnqueued(number=0, config=wanted, time=0.0)])
    result = loop(tmp_path, store=store, max_trials=2).fit(Tiny, datamodule=TinyData)
    assert result.trials[1].config == wanted

    class Stops(pl.Callback):
        def on_train_epoch_start(self, trainer, module):
            store.append("s", [StopRequested(trial=2, reason="enough", time=0.0)])

    trainer = {"max_epochs": 2, "accelerator": "cpu", "callbacks": [Stops()]}
    with pytest.warns(UserWarning, match="goes on with other settings"):
        stopped = loop(tmp_path, store=store, max_trials=3, trainer=trainer).fit(Tiny, datamodule=TinyData)
    assert (stopped.trials[2].state, stopped.trials[2].reason, stopped.trials[2].epochs) == (
        "stopped",
        "enough",
        1,
    )


class Interrupts(pl.Callback):
    """Presses Ctrl-C in one epoch of the whole test."""

    def __init__(self, epoch):
        self.epoch = epoch

    def on_train_epoch_start(self, trainer, module):
        if trainer.current_epoch == self.epoch and not seen_interrupts:
            seen_interrupts.append(trainer.current_epoch)
            signal.raise_signal(signal.SIGINT)


seen_interrupts: list[int] = []


@pytest.mark.filterwarnings("ignore:.*goes on with other settings")
@pytest.mark.parametrize(("every", "max_epochs"), [(1, 6), (4, 6), (1, 2)])
def test_an_interrupted_trial_goes_on_even_without_a_report_or_with_fewer_epochs(tmp_path, every, max_epochs):
    seen_interrupts.clear()
    epochs = []

    class Counted(Tiny):
        def on_train_epoch_start(self):
            epochs.append(self.current_epoch)

    trainer = {
        "max_epochs": 6,
        "accelerator": "cpu",
        "check_val_every_n_epoch": every,
        "callbacks": [Interrupts(2)],
    }
    cut = loop(tmp_path, max_trials=1, trainer=trainer).fit(Counted, datamodule=TinyData)
    assert (cut.trials[0].state, cut.trials[0].epochs) == ("paused", 3)
    whole = loop(tmp_path, max_trials=1, trainer={**trainer, "max_epochs": max_epochs}).fit(
        Counted, datamodule=TinyData
    )
    assert whole.trials[0].state == "completed"
    assert epochs == list(range(max(max_epochs, 3)))
    assert whole.best is None or whole.best.load(Counted) is not None


@pytest.mark.parametrize("by", ["early_stopping", "callback", "module"])
def test_somebody_elses_stop_is_not_taken_for_a_save(tmp_path, by):
    """Saved after every epoch, a trial that others stop at an epoch's end stops there as it does without."""

    class Stops(pl.Callback):
        def on_train_epoch_end(self, trainer, module):
            trainer.should_stop = trainer.should_stop or trainer.current_epoch == 1

    class StopsItself(Tiny):
        def on_train_epoch_end(self):
            self.trainer.should_stop = self.trainer.should_stop or self.current_epoch == 1

    early = EarlyStopping("val_acc", mode="max", stopping_threshold=0.0, check_on_train_epoch_end=True)
    callbacks = {"early_stopping": [early], "callback": [Stops()], "module": []}[by]
    trainer = {"max_epochs": 5, "accelerator": "cpu", "callbacks": callbacks}
    model = StopsItself if by == "module" else Tiny
    plain, saving = (
        loop(tmp_path, name=f"every{every}", trainer=trainer, checkpoint_every_s=every).fit(
            model, datamodule=TinyData
        )
        for every in (60, 0)
    )
    assert curves(plain) == curves(saving)
    assert all(trial.epochs == (1 if by == "early_stopping" else 2) for trial in saving.trials)


def test_with_repeats_the_best_groups_checkpoint_is_kept_to_the_end(tmp_path):
    """A first seed that looks better than the best group's mean must not cost that group its file."""

    class Scripted(Tiny):
        def validation_step(self, batch, index):
            scores = iter([0.5, 0.5, 0.1, 0.95])
            self.log("val_loss", list(scores)[made[-1]])

        def __init__(self, **arguments):
            super().__init__(**arguments)
            made.append(len(made))

    made = []
    result = loop(
        tmp_path,
        monitor="val_loss",
        mode="min",
        max_trials=2,
        repeats=2,
        trainer={"max_epochs": 1, "accelerator": "cpu"},
    ).fit(Scripted, datamodule=TinyData)
    assert (result.best.group, result.best.checkpoint is not None) == (0, True)
    assert sum(trial.checkpoint is not None for trial in result.trials) == 1


def test_repeats_of_finished_trials_train_on_under_a_larger_max_epochs_and_come_to_an_end(tmp_path):
    loop(tmp_path, max_trials=1, repeats=2, keep_checkpoints=2).fit(Tiny, datamodule=TinyData)
    with pytest.warns(UserWarning, match="max_epochs"):
        more = loop(
            tmp_path,
            max_trials=1,
            repeats=2,
            keep_checkpoints=2,
            trainer={"max_epochs": 4, "accelerator": "cpu"},
        ).fit(Tiny, datamodule=TinyData)
    assert max(trial.epochs for trial in more.trials) == 4
    assert {trial.state for trial in more.trials} == {"completed"}


def test_a_target_with_several_monitors_is_in_the_scores_own_unit(tmp_path):
    result = loop(
        tmp_path,
        monitor=["val_acc", "val_loss"],
        mode=["max", "min"],
        score=lambda values: values[1],
        target=50.0,
    ).fit(Tiny, datamodule=TinyData)
    assert "target 50 reached" in result.reason


def test_a_learning_rate_finder_runs_once_a_trial(tmp_path):
    epochs = []

    class Counted(Tiny):
        def on_train_epoch_start(self):
            if self.trainer.callbacks and len(self.trainer.callbacks) > 1:
                epochs.append(self.current_epoch)

    finder = LearningRateFinder(num_training_steps=4, update_attr=True)
    trainer = {"max_epochs": 3, "accelerator": "cpu", "callbacks": [finder]}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        loop(tmp_path, max_trials=1, trainer=trainer, checkpoint_every_s=0).fit(Counted, datamodule=TinyData)
    assert epochs == [0, 1, 2]


def test_what_a_callable_returns_must_be_new_each_time(tmp_path):
    one = Tiny()
    with pytest.raises(ArgumentError, match="module that was trained before"):
        loop(tmp_path, {"x": Float(0, 1)}).fit(lambda config: one, datamodule=TinyData)
    trainer = pl.Trainer(max_epochs=1, accelerator="cpu", logger=False, enable_checkpointing=False)
    with pytest.raises(ArgumentError, match="Trainer that was fitted before"):
        loop(tmp_path, name="t", trainer=lambda config: trainer).fit(Tiny, datamodule=TinyData)


def test_baselines_added_later_are_tried(tmp_path):
    space = {"lr": Float(0.001, 0.1)}
    loop(tmp_path, space, max_trials=1, baseline={"lr": 0.02}).fit(Tiny, datamodule=TinyData)
    more = loop(tmp_path, space, max_trials=2, baseline={"lr": 0.03}).fit(Tiny, datamodule=TinyData)
    assert [trial.config["lr"] for trial in more.trials] == [0.02, 0.03]


def test_two_stores_never_share_a_folder(tmp_path):
    first = loop(tmp_path, store=tmp_path / "a.db").fit(Tiny, datamodule=TinyData)
    with pytest.raises(SweepExistsError, match="recorded in another store"):
        loop(tmp_path, store=tmp_path / "b.db", seed=1).fit(Tiny, datamodule=TinyData)
    again = loop(tmp_path, store=tmp_path / "a.db").fit(Tiny, datamodule=TinyData)
    assert curves(again) == curves(first)
    assert again.best.load(Tiny) is not None
    anew = loop(tmp_path, store=tmp_path / "b.db", seed=1, overwrite=True).fit(Tiny, datamodule=TinyData)
    assert anew.best.load(Tiny) is not None


def test_a_template_with_a_logger_of_its_own_trains(tmp_path):
    logger = CSVLogger(tmp_path / "mine")
    template = pl.Trainer(max_epochs=2, accelerator="cpu", logger=logger, enable_progress_bar=False)
    sweep = TuneLoop(
        SPACE, monitor="val_acc", mode="max", max_trials=2, trainer=template, root_dir=tmp_path, name="s"
    )
    with pytest.warns(UserWarning, match="one CSVLogger for the whole sweep"):
        result = sweep.fit(Tiny, datamodule=TinyData)
    assert [trial.state for trial in result.trials] == ["completed", "completed"]
    assert list((tmp_path / "mine").rglob("metrics.csv"))
    assert template.loggers == [logger]


def test_the_users_saver_is_the_trainers_checkpoint_callback(tmp_path):
    seen = []

    class Looks(Tiny):
        def on_train_end(self):
            seen.append(self.trainer.checkpoint_callback.best_model_path)

    trainer = {"max_epochs": 1, "accelerator": "cpu", "callbacks": ModelCheckpoint(monitor="val_loss")}
    loop(tmp_path, max_trials=1, trainer=trainer).fit(Looks, datamodule=TinyData)
    loop(tmp_path, max_trials=1, name="none").fit(Looks, datamodule=TinyData)
    assert seen[0].endswith(".ckpt")
    assert seen[1] == ""


def test_nothing_of_an_instance_is_shared_between_trials(tmp_path):
    started = []

    class Wraps(Tiny):
        def __init__(self, body=None, lr=0.05):
            super().__init__(lr=lr)
            self.save_hyperparameters()
            self.net = body
            started.append(float(next(body.parameters()).sum()))

    body = torch.nn.Linear(4, 3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Lightning advises against modules as hyperparameters
        loop(tmp_path, {"lr": Float(0.01, 0.1)}).fit(Wraps(body), datamodule=TinyData)
    assert len(started) == 4
    assert len(set(started)) == 1


def test_a_score_that_raises_costs_its_trial_alone(tmp_path):
    calls = []

    def score(values):
        calls.append(values)
        if len({value for value in calls}) == 2:
            raise ZeroDivisionError
        return values[1]

    result = loop(tmp_path, monitor=["val_acc", "val_loss"], mode=["max", "min"], score=score).fit(
        Tiny, datamodule=TinyData
    )
    assert sorted(trial.state for trial in result.trials) == ["completed", "completed", "failed"]
    assert "ZeroDivisionError" in next(trial.reason for trial in result.trials if trial.state == "failed")


def test_averaged_weights_are_kept_as_they_were_scored(tmp_path):
    trainer = {"max_epochs": 4, "accelerator": "cpu", "callbacks": EMAWeightAveraging(decay=0.5)}
    result = loop(tmp_path, monitor="val_loss", mode="min", trainer=trainer).fit(Tiny, *tiny_loaders())
    module = result.best.load(Tiny)
    inputs, labels = next(iter(tiny_loaders()[1]))
    assert float(torch.nn.functional.cross_entropy(module.net(inputs), labels)) == result.best.score


def test_layers_of_configure_model_are_loaded_and_others_are_told_of(tmp_path):
    class Later(Tiny):
        def configure_model(self):
            self.extra = getattr(self, "extra", None) or torch.nn.Linear(2, 2)

    class InSetup(Tiny):
        def setup(self, stage):
            self.extra = torch.nn.Linear(2, 2)

    result = loop(tmp_path).fit(Later, datamodule=TinyData)
    assert result.best.load(Later).extra.weight.shape == (2, 2)
    result = loop(tmp_path, name="setup").fit(InSetup, datamodule=TinyData)
    with pytest.raises(CheckpointError, match="made in `__init__` or in `configure_model`"):
        result.best.load(InSetup)


def test_dotted_keys_keep_the_rest_of_an_instances_argument(tmp_path):
    built = []

    class Nested(Tiny):
        def __init__(self, encoder=None, lr=0.05):
            super().__init__(lr=lr)
            self.save_hyperparameters()
            built.append(dict(encoder))

    result = loop(tmp_path, {"encoder.width": Int(2, 9)}).fit(
        Nested(encoder={"width": 4, "depth": 7}), datamodule=TinyData
    )
    assert all(entry["depth"] == 7 for entry in built)
    assert result.trials[0].config == {"encoder.width": 4}


# -- what fails


class Fragile(pl.LightningModule):
    """Fails in the way that `how` says."""

    def __init__(self, how: str = "fine") -> None:
        super().__init__()
        self.how = how
        if how == "build":
            raise ValueError("cannot build this")
        self.layer = torch.nn.Linear(4, 3)

    def training_step(self, batch, index):
        if self.how == "raise":
            raise ValueError("a bad batch")
        if self.how == "memory":
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 TiB")
        if self.how == "exit":
            raise SystemExit(3)
        return torch.nn.functional.cross_entropy(self.layer(batch[0]), batch[1])

    def validation_step(self, batch, index):
        value = {"nan": float("nan"), "inf": float("inf")}.get(self.how, 0.5)
        if self.how != "silent":
            self.log("val_acc", value)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.1)


def fragile(tmp_path, *hows, **given):
    space = {"how": Choice(["fine", "raise", "build", "memory", "nan", "inf", "silent", "exit"])}
    defaults = {"baseline": [{"how": how} for how in hows], "max_trials": len(hows)}
    return loop(tmp_path, space, **{**defaults, **given}).fit(Fragile, *tiny_loaders())


def test_failures_cost_their_trial_alone(tmp_path):
    result = fragile(tmp_path, "fine", "raise", "memory", "nan", "inf", "build", "silent")
    states = {trial.config["how"]: (trial.state, trial.reason) for trial in result.trials}
    assert states.pop("fine") == ("completed", "trained 2 epochs")
    assert all(state == "failed" for state, _ in states.values())
    assert states["raise"][1].startswith("ValueError: a bad batch (test_tune_loop.py:")
    assert states["build"][1].startswith("ValueError: cannot build this (test_tune_loop.py:")
    assert states["memory"][1].startswith("out of memory: CUDA out of memory")
    assert states["nan"][1] == "diverged: val_acc is nan"
    assert states["inf"][1] == "diverged: val_acc is inf"
    assert "never logged" in states["silent"][1]
    assert "a bad batch" in next(trial for trial in result.trials if trial.config["how"] == "raise").error
    assert result.best.config == {"how": "fine"}


def test_the_first_three_raising_end_the_sweep_with_the_cause(tmp_path):
    with pytest.raises(SweepFailedError, match="(?s)the first 3 trials all raised.*a bad batch") as failed:
        fragile(tmp_path, "build", "exit", "raise", "fine", max_trials=8)
    assert isinstance(failed.value.__cause__, ValueError)


def test_more_than_max_failures_end_the_sweep(tmp_path):
    with pytest.raises(SweepFailedError, match="2 trials raised, and `max_failures` is 1"):
        fragile(tmp_path, "fine", "raise", "build", max_failures=1, max_trials=8)


def test_divergence_and_memory_never_end_a_sweep(tmp_path):
    result = fragile(tmp_path, "nan", "memory", "inf", "fine", max_failures=0)
    assert [trial.state for trial in result.trials] == ["failed", "failed", "failed", "completed"]


def test_a_sweep_of_failures_alone_raises_at_its_end(tmp_path):
    with pytest.raises(SweepFailedError, match="all 1 trials raised"):
        fragile(tmp_path, "raise")


def test_exit_in_the_users_code_is_a_failure(tmp_path):
    result = fragile(tmp_path, "fine", "exit")
    assert result.trials[1].state == "failed"
    assert "SystemExit" in result.trials[1].reason


def test_a_monitor_that_is_never_logged_names_those_that_are(tmp_path):
    with pytest.raises(
        MonitorError, match=r"`monitor='val_accuracy'`.*val_acc, val_loss.*Did you mean 'val_acc'"
    ):
        loop(tmp_path, monitor="val_accuracy").fit(Tiny, datamodule=TinyData)
    assert (
        len(loop(tmp_path).fit(Tiny, datamodule=TinyData).trials) == 3
    )  # nothing was recorded that is in the way


# -- what it refuses


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"max_trials": 0}, "`max_trials` must be an integer of at least 1"),
        ({"monitor": ""}, "`monitor` must name a metric"),
        ({"mode": "maximum"}, "`mode` must be 'min' or 'max', got 'maximum'"),
        ({"monitor": ["a", "b"], "target": 1.0}, r"`target=1\.0` needs one number a trial"),
        ({"monitor": ["a", "b"], "mode": ["min"]}, "got 1 modes for 2 monitors"),
        ({"search": "bayes"}, "`search` must be one of 'annealing', 'asha', 'auto'"),
        ({"search": "randm"}, "Did you mean 'random'"),
        ({"schedule": "hyperbnd"}, "Did you mean 'hyperband'"),
        ({"search": "hyperband", "schedule": "full"}, "names the schedule too"),
        ({"workers": 2}, "`workers` must be 1, got 2"),
        ({"executor": "ray"}, "`executor` must be None or InlineExecutor"),
        ({"devices_per_trial": 2}, "`devices_per_trial` must be 1"),
        ({"budget": "dat"}, "`budget` must be 'epochs', 'data' or 'model.<argument>'"),
        ({"budget_unit": "step"}, "`budget_unit` must be one of 'epochs', 'steps', 'samples', 'seconds'"),
        ({"budget": "data", "budget_unit": "steps"}, "leave it out"),
        ({"repeats": 2, "schedule": ASHA(stopping=True)}, "`repeats` must be 1 with ASHA"),
        ({"repeats": 0}, "`repeats` must be an integer of at least 1"),
        ({"seed": -1}, "`seed`"),
        ({"keep_checkpoints": -1}, "`keep_checkpoints`"),
        ({"checkpoint_every_s": -1}, "`checkpoint_every_s`"),
        ({"max_failures": -1}, "`max_failures`"),
        ({"constraint": 3}, "`constraint` must be a callable"),
        ({"score": "first"}, "`score` must be 'best', 'last' or a callable"),
    ],
)
def test_wrong_arguments_are_named_at_construction(tmp_path, given, message):
    with pytest.raises(ArgumentError, match=message):
        loop(tmp_path, **given)
    assert not list(tmp_path.iterdir())


def test_an_empty_space_is_refused(tmp_path):
    with pytest.raises(SpaceError):
        loop(tmp_path, {})


@pytest.mark.parametrize(
    ("given", "model", "data", "error", "message"),
    [
        (
            {"space": {"learning_rate": Float(0, 1)}},
            Tiny,
            TinyData,
            UnknownArgumentError,
            "takes `?.*`lr`, `width`",
        ),
        (
            {"space": {"data.batch_size": Choice([1])}},
            Tiny,
            None,
            UnknownArgumentError,
            "no `datamodule` was given",
        ),
        (
            {"space": {"data.batchsize": Choice([1])}},
            Tiny,
            TinyData,
            UnknownArgumentError,
            "mean 'data.batch_size'",
        ),
        (
            {"space": {"trainer.max_epoch": Int(1, 2)}},
            Tiny,
            TinyData,
            UnknownArgumentError,
            "mean 'trainer.max_epochs'",
        ),
        (
            {"trainer": {"max_epoch": 1}},
            Tiny,
            TinyData,
            UnknownArgumentError,
            "Trainer takes no argument 'max_epoch'",
        ),
        ({"trainer": {"max_epochs": -1}}, Tiny, TinyData, ArgumentError, "no `max_epochs`"),
        ({"trainer": {"max_steps": 5}}, Tiny, TinyData, ArgumentError, "max_steps=5"),
        ({"trainer": {"logger": True}}, Tiny, TinyData, ArgumentError, "pass it to TuneLoop as `logger=`"),
        ({"trainer": 3}, Tiny, TinyData, ArgumentError, "`trainer` must be a dictionary"),
        ({"trainer": {}}, Tiny, TinyData, ArgumentError, "no `max_epochs`"),
        ({"trainer": {"devices": 2, "accelerator": "cpu"}}, Tiny, TinyData, ArgumentError, "Use devices=1"),
        ({}, 3, TinyData, ArgumentError, "`model` must be a LightningModule class"),
        ({}, dict, TinyData, ArgumentError, "`model` must be a LightningModule class, got the class dict"),
        ({}, Tiny, 3, ArgumentError, "`datamodule` must be a LightningDataModule"),
        ({}, Tiny, tiny_data(pytorch_lightning), ArgumentError, "do not work together"),
        (
            {"baseline": {"lr": 5.0, "width": 4}},
            Tiny,
            TinyData,
            ArgumentError,
            "`baseline` is not a configuration.*lr",
        ),
        ({"baseline": [{"lr": 0.01}]}, Tiny, TinyData, ArgumentError, r"`baseline\[0\]`.*width"),
        ({"max_trials": None}, Tiny, TinyData, ArgumentError, "nothing ends this sweep"),
        ({"name": "../up"}, Tiny, TinyData, ArgumentError, "`name` must be 1 to 100 letters"),
    ],
)
def test_wrong_things_are_found_before_anything_trains(tmp_path, given, model, data, error, message):
    with pytest.raises(error, match=message):
        loop(tmp_path, **given).fit(model, datamodule=data)
    assert not list(tmp_path.rglob("*.ckpt"))


def test_loaders_and_datamodule_together_are_refused(tmp_path):
    with pytest.raises(ArgumentError, match="not both"):
        loop(tmp_path).fit(Tiny, tiny_loaders()[0], datamodule=TinyData)


def test_a_fitted_trainer_is_refused(tmp_path):
    trainer = pl.Trainer(max_epochs=1, accelerator="cpu", logger=False, enable_checkpointing=False)
    trainer.fit(Tiny(), *tiny_loaders())
    with pytest.raises(ArgumentError, match="was fitted before"):
        loop(tmp_path, trainer=trainer).fit(Tiny, datamodule=TinyData)


def test_an_instance_without_hyperparameters_is_refused(tmp_path):
    with pytest.raises(ArgumentError, match="did not save"):
        loop(tmp_path, {"how": Choice(["fine", "nan"])}).fit(Fragile("fine"), *tiny_loaders())


def test_the_name_of_a_monitor_may_speak_against_its_mode(tmp_path):
    with pytest.warns(UserWarning, match="did you mean mode='max'"):
        loop(tmp_path, mode="min")


def test_another_sweep_of_that_name_shows_the_difference_and_is_left_alone(tmp_path):
    before = loop(tmp_path).fit(Tiny, datamodule=TinyData)
    with pytest.raises(SweepExistsError, match="seed: 0 there, 1 here"):
        loop(tmp_path, seed=1).fit(Tiny, datamodule=TinyData)
    assert curves(loop(tmp_path).fit(Tiny, datamodule=TinyData)) == curves(before)
    anew = loop(tmp_path, seed=1, overwrite=True).fit(Tiny, datamodule=TinyData)
    assert curves(anew) != curves(before)


def test_a_sweep_that_runs_elsewhere_is_busy(tmp_path):
    store = MemoryStore()
    with store.hold("s"), pytest.raises(SweepBusyError):
        loop(tmp_path, store=store).fit(Tiny, datamodule=TinyData)


def test_no_name_makes_a_fresh_sweep_each_time(tmp_path):
    first, second = (loop(tmp_path, name=None).fit(Tiny, datamodule=TinyData) for _ in range(2))
    assert first.name != second.name
    assert len(second.trials) == 3


def test_a_space_object_and_model_prefix(tmp_path):
    result = loop(tmp_path, Space({"model.lr": Float(0.01, 0.1)})).fit(Tiny, datamodule=TinyData)
    assert all(0.01 <= trial.config["lr"] <= 0.1 for trial in result.trials)
