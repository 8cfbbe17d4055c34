"""Sweeps whose rungs are counted in steps, samples or seconds, or in data or model size."""

import os
import signal
import warnings

import lightning.pytorch as pl
import pytest
import torch
from torch.utils.data import DataLoader, IterableDataset, Subset, TensorDataset

from lightning_tune import Choice, Float, Hyperband, SuccessiveHalving, TuneLoop
from lightning_tune.errors import ArgumentError, MonitorError, UnknownArgumentError
from lightning_tune.loop.subset import subset
from lightning_tune.schedule import FullBudget
from lightning_tune.testing.models import blobs, tiny_loaders, tiny_module

Tiny = tiny_module(pl)
SPACE = {"lr": Float(1e-3, 1e-1, log=True)}


class Labelled(TensorDataset):
    """80 points with `targets`: 44 of class 0, 24 of class 1, 12 of class 2."""

    def __init__(self):
        x, y = blobs(240)
        kept = torch.cat([torch.where(y == label)[0][:count] for label, count in enumerate((44, 24, 12))])
        super().__init__(x[kept], y[kept])
        self.targets = y[kept].tolist()


class Data(pl.LightningDataModule):
    def __init__(self, dataset=Labelled, batch_size=8):
        super().__init__()
        self.dataset, self.batch_size = dataset(), batch_size

    def train_dataloader(self):
        return DataLoader(self.dataset, self.batch_size, shuffle=True)

    def val_dataloader(self):
        return tiny_loaders()[1]


class Deep(Tiny):
    """Grows wider with its depth, and remembers what it was built with."""

    built: list[int] = []  # noqa: RUF012

    def __init__(self, depth=1, lr=0.05):
        super().__init__(lr=lr, width=4 * depth)
        Deep.built.append(depth)


def loop_of(tmp_path, name="s", space=SPACE, max_epochs=4, trainer=None, **given):
    return TuneLoop(
        space,
        monitor="val_loss",
        trainer={"max_epochs": max_epochs, "accelerator": "cpu", **(trainer or {})},
        **{"logger": False, "root_dir": tmp_path, "name": name, **given},
    )


def plain(module, seed, train, max_epochs, validation=None):
    """Train with a bare Trainer; return the validation losses and the weights after each epoch."""
    losses, weights = [], []

    class Watch(pl.Callback):
        def on_validation_end(self, trainer, module):
            if not trainer.sanity_checking:
                losses.append(float(trainer.callback_metrics["val_loss"]))
                weights.append({name: value.clone() for name, value in module.state_dict().items()})

    pl.seed_everything(seed, workers=True, verbose=False)
    trainer = pl.Trainer(
        max_epochs=max_epochs,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[Watch()],
    )
    trainer.fit(module(), train, validation or tiny_loaders()[1])
    return losses, weights


def curve(trial, leg=None):
    return [(report.step, report.value) for report in trial.reports if leg is None or report.leg == leg]


def weights_at(path):
    return torch.load(path, weights_only=True)["state_dict"]


def assert_equal(first, second):
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


# -- other units of training that goes on

UNITS = [
    ("steps", {}, 4),
    ("steps", {"accumulate_grad_batches": 3}, 2),
    ("steps", {"val_check_interval": 0.5}, 4),
    ("samples", {}, 64),
    ("samples", {"limit_train_batches": 3}, 48),
    ("samples", {"val_check_interval": 2}, 64),
]


@pytest.mark.parametrize(("unit", "trainer", "each"), UNITS)
def test_hyperband_in_other_units_equals_training_straight(tmp_path, unit, trainer, each):
    """`each` is what an epoch takes; so the rungs are after 1, 2 and 4 epochs."""
    common = {"budget_unit": unit, "max_trials": 4, "trainer": trainer, "keep_checkpoints": 4}
    halved = loop_of(
        tmp_path, "halved", schedule=Hyperband(max_budget=4 * each, min_budget=each, eta=2), **common
    ).fit(Tiny, *tiny_loaders(16))
    whole = loop_of(tmp_path, "whole", schedule=FullBudget(), **common).fit(Tiny, *tiny_loaders(16))
    assert sorted(trial.epochs for trial in halved.trials) == [each, each, 2 * each, 4 * each]
    for trial, straight in zip(halved.trials, whole.trials, strict=True):
        assert curve(trial) == curve(straight)[: len(trial.reports)]
    (winner,) = [trial for trial in halved.trials if trial.epochs == 4 * each]
    assert len({report.leg for report in winner.reports}) == 3
    assert_equal(
        *(
            weights_at(next((tmp_path / name / "trials" / str(winner.number)).glob("last-*.ckpt")))
            for name in ("halved", "whole")
        )
    )


def test_seconds_of_training_are_summed_over_legs_and_pauses_are_none(tmp_path):
    result = loop_of(
        tmp_path,
        max_epochs=200,
        budget_unit="seconds",
        schedule=SuccessiveHalving(4, min_budget=0.05, eta=2, max_budget=0.2),
    ).fit(Tiny, *tiny_loaders(16))
    ended = {trial.state: trial.epochs for trial in result.trials}
    assert 0.2 <= ended["completed"] < 1
    assert sorted(trial.state for trial in result.trials) == ["completed", "stopped", "stopped", "stopped"]
    steps = [report.step for report in result.best.reports]
    assert steps == sorted(set(steps))


def test_the_trainer_may_end_a_trial_first(tmp_path):
    result = loop_of(
        tmp_path, max_epochs=2, budget_unit="steps", schedule=FullBudget(max_budget=100), max_trials=1
    ).fit(Tiny, *tiny_loaders(16))
    assert [(trial.state, trial.epochs, trial.reason) for trial in result.trials] == [
        ("completed", 8.0, "its Trainer ended it at 8 of 100 steps")
    ]


def test_min_epochs_keep_nobody_beyond_a_rung(tmp_path):
    result = loop_of(
        tmp_path, schedule=SuccessiveHalving(4, min_budget=1, eta=2), trainer={"min_epochs": 4}
    ).fit(Tiny, *tiny_loaders(16))
    assert sorted(trial.epochs for trial in result.trials) == [1, 1, 2, 4]


def test_validation_that_never_meets_the_first_rung_ends_the_sweep_with_the_remedy(tmp_path):
    loop = loop_of(
        tmp_path, schedule=SuccessiveHalving(4, min_budget=1, eta=2), trainer={"check_val_every_n_epoch": 2}
    )
    with pytest.raises(MonitorError, match=r"Make every rung a multiple of 2 \(`min_budget=2`\)"):
        loop.fit(Tiny, *tiny_loaders(16))


# -- data


def test_each_leg_on_data_equals_a_bare_trainer_on_the_same_subset(tmp_path):
    dataset, schedule = Labelled(), SuccessiveHalving(4, min_budget=0.25, eta=2)
    train = DataLoader(dataset, batch_size=8, shuffle=True)
    result = loop_of(
        tmp_path, budget="data", schedule=schedule, max_epochs=3, keep_checkpoints=4, seed=7
    ).fit(Tiny, train, tiny_loaders()[1])
    labels = torch.tensor(dataset.targets).numpy()
    assert sorted(trial.state for trial in result.trials) == ["completed", "stopped", "stopped", "stopped"]
    for trial in result.trials:
        for leg in sorted({report.leg for report in trial.reports}):
            part = 0.25 * 2**leg
            indices = subset(80, part, 7, labels)
            alone = DataLoader(Subset(dataset, indices), batch_size=8, shuffle=True)
            losses, weights = plain(lambda trial=trial: Tiny(**trial.config), trial.seed, alone, 3)
            assert curve(trial, leg) == list(zip([part / 3, part * 2 / 3, part], losses, strict=True))
        best = min(range(3), key=losses.__getitem__)
        assert trial.score == losses[best]  # that of the newest leg
        assert_equal(weights_at(trial.checkpoint), weights[best])


def test_the_subsets_are_nested_stratified_and_the_same_for_all_trials(tmp_path):
    seen = {}

    class Looking(Tiny):
        def on_train_start(self):
            dataset = self.trainer.train_dataloader.dataset
            indices = getattr(dataset, "indices", range(len(dataset)))
            seen.setdefault(len(indices), set()).add(tuple(indices))

    schedule = SuccessiveHalving(4, min_budget=0.25, eta=2)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        loop_of(tmp_path, budget="data", schedule=schedule, max_epochs=1).fit(Looking, datamodule=Data())
    assert {size: len(kinds) for size, kinds in seen.items()} == {20: 1, 40: 1, 80: 1}
    quarter, half, whole = (set(next(iter(seen[size]))) for size in (20, 40, 80))
    assert quarter < half < whole
    labels = Labelled().targets
    assert [[labels[index] for index in part].count(2) for part in (quarter, half, whole)] == [3, 6, 12]


def test_a_periodic_save_in_the_middle_of_a_leg_changes_nothing(tmp_path):
    schedule = SuccessiveHalving(2, min_budget=0.5, eta=2)
    once, often = (
        loop_of(tmp_path, name, budget="data", schedule=schedule, max_epochs=3, checkpoint_every_s=every).fit(
            Tiny, datamodule=Data
        )
        for name, every in (("once", 60), ("often", 0))
    )
    assert [curve(trial) for trial in once.trials] == [curve(trial) for trial in often.trials]
    assert_equal(*(weights_at(result.best.checkpoint) for result in (once, often)))


@pytest.mark.parametrize("strike", [(0, 1), (1, 0)])
def test_ctrl_c_in_the_middle_of_a_leg_pauses_there_and_the_leg_goes_on(tmp_path, strike):
    """Strike in the epoch `strike[1]` of the leg `strike[0]` of the first trial."""
    begun = []

    class Struck(Tiny):
        def on_train_epoch_start(self):
            if self.current_epoch == 0:
                begun.append(None)
            legs = len(begun) - 1 if strike[0] == 0 else max(0, len(begun) - 2)
            if armed and (legs, self.current_epoch) == strike:
                armed.clear()
                os.kill(os.getpid(), signal.SIGINT)

    schedule = SuccessiveHalving(2, min_budget=0.5, eta=2)
    common = {"budget": "data", "schedule": schedule, "max_epochs": 3}
    armed: list[bool] = []
    straight = loop_of(tmp_path, "straight", **common).fit(Struck, datamodule=Data)
    armed.append(True)
    begun.clear()
    first = loop_of(tmp_path, "struck", **common).fit(Struck, datamodule=Data)
    assert not armed
    (paused,) = [
        trial
        for trial in first.trials
        if trial.state == "paused" and trial.reason != "reached 50% of the data"
    ]
    assert 0 < paused.reports[-1].step < (0.5 if strike[0] == 0 else 1.0)
    begun.clear()
    second = loop_of(tmp_path, "struck", **common).fit(Struck, datamodule=Data)
    assert [(curve(trial), trial.state) for trial in second.trials] == [
        (curve(trial), trial.state) for trial in straight.trials
    ]
    assert_equal(*(weights_at(result.best.checkpoint) for result in (straight, second)))


def test_early_stopping_ends_a_leg_and_not_the_trial(tmp_path):
    """The loss falls, which is what this one takes for getting worse."""
    result = loop_of(
        tmp_path,
        budget="data",
        schedule=SuccessiveHalving(2, min_budget=0.5, eta=2),
        max_epochs=9,
        trainer={"callbacks": [pl.callbacks.EarlyStopping("val_loss", patience=0, mode="max")]},
    ).fit(Tiny, datamodule=Data)
    reasons = [trial.reason for trial in result.trials if trial.state == "completed"]
    (reason,) = reasons
    where, why = reason.split(": ", 1)
    assert where == "EarlyStopping ended it at epoch 2 of 9, with 100% of the data"
    assert why.startswith("Monitored metric val_loss did not improve in the last 1 records. Best score: ")
    assert all(len(curve(trial, 0)) == 2 for trial in result.trials)


def test_data_without_targets_is_noted_once_and_streams_are_refused(tmp_path, capsys):
    class Stream(IterableDataset):
        def __iter__(self):
            return iter(Labelled())

    schedule = SuccessiveHalving(4, min_budget=0.25, eta=2)
    loop = loop_of(tmp_path, budget="data", schedule=schedule, max_epochs=1)
    loop.fit(Tiny, *tiny_loaders(8))
    assert capsys.readouterr().out.count("the training set has no `targets` (TensorDataset)") == 1
    with pytest.raises(ArgumentError, match="Stream is an IterableDataset"):
        loop_of(tmp_path, "stream", budget="data", schedule=schedule).fit(Tiny, DataLoader(Stream()))
    assert not (tmp_path / "stream").exists()
    with pytest.raises(ArgumentError, match="Stream is an IterableDataset"):
        loop_of(tmp_path, "later", budget="data", schedule=schedule).fit(
            Tiny, datamodule=lambda config: Unshuffled(Stream)
        )


class Unshuffled(Data):
    def train_dataloader(self):
        return DataLoader(self.dataset, self.batch_size)


def test_a_fraction_without_a_sample_is_named(tmp_path):
    schedule = SuccessiveHalving(4, min_budget=0.001, eta=2)
    with pytest.raises(ArgumentError, match="a fraction of 0.001 of 80 samples leaves no sample"):
        loop_of(tmp_path, budget="data", schedule=schedule).fit(Tiny, datamodule=Data)


# -- model size


def test_each_leg_on_a_larger_model_equals_a_bare_trainer_with_it(tmp_path):
    result = loop_of(
        tmp_path,
        budget="model.depth",
        schedule=SuccessiveHalving(4, min_budget=1, eta=2, max_budget=4),
        max_epochs=2,
        keep_checkpoints=4,
    ).fit(Deep, *tiny_loaders(16))
    sizes = sorted(trial.epochs for trial in result.trials)
    assert sizes == [1.0, 1.0, 2.0, 4.0]
    for trial in result.trials:
        for leg in sorted({report.leg for report in trial.reports}):
            depth = 2**leg
            losses, weights = plain(
                lambda trial=trial, depth=depth: Deep(depth, **trial.config),
                trial.seed,
                tiny_loaders(16)[0],
                2,
            )
            assert curve(trial, leg) == [(depth / 2, losses[0]), (depth, losses[1])]
        best = min(range(2), key=losses.__getitem__)
        assert_equal(trial.load(Deep).state_dict(), weights[best])


@pytest.mark.parametrize("form", ["instance", "callable"])
def test_other_forms_of_model_grow_too(tmp_path, form):
    model = Deep(3, lr=0.02) if form == "instance" else lambda config: Deep(config["depth"], config["lr"])
    Deep.built.clear()
    result = loop_of(
        tmp_path, budget="model.depth", schedule=SuccessiveHalving(2, 1, 2, max_budget=2), max_epochs=1
    ).fit(model, *tiny_loaders(16))
    assert Deep.built == [1, 1, 2]
    assert result.best.load(model).net[0].out_features in (4, 8)


def test_an_argument_that_does_not_exist_or_is_searched_too_is_refused_before_anything_trains(tmp_path):
    schedule = SuccessiveHalving(2, 1, 2, max_budget=2)
    with pytest.raises(UnknownArgumentError, match="Did you mean 'model.depth'"):
        loop_of(tmp_path, budget="model.dept", schedule=schedule).fit(Deep, *tiny_loaders())
    with pytest.raises(ArgumentError, match="sets the argument `depth` .* but the space has it too"):
        loop_of(
            tmp_path, budget="model.depth", schedule=schedule, space={**SPACE, "depth": Choice([1, 2])}
        ).fit(Deep, *tiny_loaders())
    assert list(tmp_path.iterdir()) == []


def test_what_was_spent_is_shown_in_its_unit(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("LIGHTNING_TUNE_SCREEN", "plain")
    loop_of(tmp_path, budget_unit="steps", schedule=SuccessiveHalving(2, 4, 2, max_budget=8)).fit(
        Tiny, *tiny_loaders(16)
    )
    lines = capsys.readouterr().out.splitlines()
    assert "2 trials, rungs at 4, 8 steps: at most 12 steps" in lines[0]
    assert any("stopped, 4 steps | " in line for line in lines)


def test_each_leg_that_trains_anew_has_curves_of_its_own(tmp_path):
    loop_of(
        tmp_path,
        budget="data",
        schedule=SuccessiveHalving(2, min_budget=0.5, eta=2),
        max_epochs=2,
        logger="csv",
        trainer={"log_every_n_steps": 1},
    ).fit(Tiny, datamodule=Data)
    (winner,) = (tmp_path / "s" / "trials").glob("*/csv-leg-1")
    assert '"data": 1' in (winner / "outcome.json").read_text()
    rows = [
        len((folder / "metrics.csv").read_text().splitlines()) for folder in (winner.parent / "csv", winner)
    ]
    assert rows == [1 + 4, 1 + 4]  # a header; of each epoch its training and its validation


def test_loaders_of_the_modules_own_are_cut_too(tmp_path):
    seen = []

    class Whole(Tiny):
        def train_dataloader(self):
            return DataLoader(Labelled(), 8, shuffle=True)

        def val_dataloader(self):
            return tiny_loaders()[1]

        def on_train_start(self):
            seen.append(len(self.trainer.train_dataloader.dataset))

    schedule = SuccessiveHalving(2, min_budget=0.5, eta=2)
    loop_of(tmp_path, budget="data", schedule=schedule, max_epochs=1).fit(Whole)
    assert seen == [40, 40, 80]


def test_the_other_package_counts_samples_as_well(tmp_path):
    import pytorch_lightning

    result = loop_of(
        tmp_path, budget_unit="samples", schedule=SuccessiveHalving(2, 64, 2, max_budget=128)
    ).fit(tiny_module(pytorch_lightning), *tiny_loaders(16))
    assert sorted(trial.epochs for trial in result.trials) == [64, 128]
