"""Audits of sweeps of tiny modules, against bare Trainers and the events of the sweep."""

import pickle
import signal
from pathlib import Path

import lightning.pytorch as pl
import pytest
import pytorch_lightning
import torch
from lightning.pytorch.callbacks import EarlyStopping
from torch.utils.data import DataLoader

from lightning_tune import (
    CurveExtrapolationStopping,
    Float,
    Int,
    PopulationBased,
    SuccessiveHalving,
    SuccessiveHalvingPruner,
    TuneLoop,
    optimize,
)
from lightning_tune.core.events import Reported, TrialEnded
from lightning_tune.errors import ArgumentError, StoreError, UnknownArgumentError
from lightning_tune.schedule import MedianStopping
from lightning_tune.store import MemoryStore, open_store
from lightning_tune.testing.models import tiny_data, tiny_loaders, tiny_module

Tiny, TinyData = tiny_module(pl), tiny_data(pl)
SPACE = {"lr": Float(1e-4, 1e-1, log=True), "width": Int(4, 16)}
EPOCHS = 4


class Promised(MedianStopping):
    """Has what a schedule has that promises how often it is wrong."""

    threshold = 0.2


def loop(folder, space=None, **given):
    defaults = {
        "monitor": "val_loss",
        "search": "random",
        "schedule": MedianStopping(min_trials=2),
        "max_trials": 8,
        "trainer": {"max_epochs": EPOCHS, "accelerator": "cpu"},
        "logger": False,
        "root_dir": folder,
        "name": "s",
    }
    return TuneLoop(SPACE if space is None else space, **{**defaults, **given})


def swept(folder, model=Tiny, data=TinyData, space=None, **given):
    return loop(folder, space, **given).fit(model, datamodule=data)


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    return swept(tmp_path_factory.mktemp("sweeps"))


@pytest.fixture(scope="module")
def audit(result):
    return result.audit(100, Tiny, TinyData)


class Diary(pl.Callback):
    """Keeps the value of every validation."""

    def __init__(self, monitor):
        self.monitor, self.values = monitor, []

    def on_validation_end(self, trainer, module):
        if not trainer.sanity_checking:
            self.values.append(float(trainer.callback_metrics[self.monitor]))


def curve_of(trial, monitor="val_loss", model=Tiny, data=TinyData, epochs=EPOCHS, **fit):
    """Return the values of a Trainer that knows nothing of sweeps."""
    pl.seed_everything(trial.seed, workers=True, verbose=False)
    quiet = {"enable_progress_bar": False, "enable_model_summary": False, "enable_checkpointing": False}
    diary = Diary(monitor)
    trainer = pl.Trainer(max_epochs=epochs, accelerator="cpu", logger=False, callbacks=[diary], **quiet)
    trainer.fit(model(**trial.config), **(fit or {"datamodule": data()}))
    assert len(diary.values) == epochs
    return diary.values


def bare(trial, **given):
    """Return the score of a Trainer that knows nothing of sweeps: its best value."""
    return min(curve_of(trial, **given))


def files_of(folder):
    return {path.relative_to(folder): path.stat().st_mtime_ns for path in Path(folder).rglob("*")}


def events_of(result):
    with open_store(result.folder / "sweep.db") as store:
        return list(store.read(result.name))


# -- what it does


def test_values_at_the_end_equal_a_bare_trainers_bit_for_bit(result, audit):
    stopped = [trial for trial in result.trials if trial.state == "stopped"]
    assert [row.trial for row in audit.rows] == [trial.number for trial in stopped]
    assert len(stopped) >= 3
    for row, trial in zip(audit.rows, stopped, strict=True):
        assert (row.step, row.reason, row.score) == (trial.epochs, trial.reason, trial.score)
        assert row.step < EPOCHS
        assert row.value == bare(trial)


def test_where_nothing_was_promised_the_target_is_the_best_of_the_whole_sweep(result, audit):
    best = min(event.values[0] for event in events_of(result) if isinstance(event, Reported))
    assert {row.target for row in audit.rows} == {best} == {result.best.score}
    assert [row.wrong for row in audit.rows] == [row.value < best for row in audit.rows]
    assert audit.num_wrong == sum(row.value < row.target for row in audit.rows)
    assert audit.num_judged == audit.num_stops == len(audit.rows)
    assert "stopped trials would have beaten the sweep's best" in audit.sentence


def test_a_promise_is_judged_by_the_best_of_all_reports_until_the_stop_and_by_the_last_value(tmp_path):
    result = swept(tmp_path, schedule=Promised(min_trials=1), max_trials=12, seed=2)
    rows = result.audit(100, Tiny).rows
    assert len(rows) >= 3
    for row in rows:
        best = float("inf")
        for event in events_of(result):
            if isinstance(event, Reported):
                best = min(best, event.values[0])
            if isinstance(event, TrialEnded) and event.trial == row.trial:
                break
        value = curve_of(result.trials[row.trial])[-1]
        assert (row.target, row.value, row.wrong) == (best, value, value < best)
    assert len({row.target for row in rows}) > 1


class Dipping(Tiny):
    """Its metric is at its best in the third of four epochs, and the higher the width, the better."""

    def validation_step(self, batch, index):
        self.log("dip", [4.0, 3.0, 0.0, 2.0][self.current_epoch] + 1.0 / self.hparams.width)


@pytest.mark.parametrize(("schedule", "score"), [(MedianStopping, "best"), (MedianStopping, "last"),
                                                 (Promised, "best")])  # fmt: skip
def test_a_trial_is_judged_by_its_score_unless_the_last_value_was_promised(tmp_path, schedule, score):
    result = swept(tmp_path, Dipping, monitor="dip", schedule=schedule(min_trials=1), score=score)
    rows = result.audit(100, Dipping).rows
    assert rows
    end = 0.0 if (schedule, score) == (MedianStopping, "best") else 2.0
    assert [row.value for row in rows] == pytest.approx(
        [end + 1.0 / result.trials[row.trial].config["width"] for row in rows]
    )


def test_of_rungs_few_stops_are_wrong_though_most_would_beat_the_best_by_then(tmp_path):
    """All curves fall, in the order of their widths: at a first rung nothing has fallen yet."""

    class Falling(Tiny):
        def validation_step(self, batch, index):
            self.log("fall", 1.0 / (1 + self.current_epoch) + 0.1 / self.hparams.width)

    schedule = SuccessiveHalving(4, min_budget=1, eta=2)
    given = {"monitor": "fall", "max_trials": None, "schedule": schedule}
    result = swept(tmp_path, Falling, **given)
    found = result.audit(9, Falling)
    assert found.num_judged == 3
    assert (found.num_wrong, found.threshold) == (0, None)
    first = [row for row in found.rows if row.step == 1]
    by_then = min(trial.reports[0].value for trial in result.trials)
    assert len(first) == 2
    assert all(row.value < by_then for row in first)
    assert found.sentence.startswith("0 of 3 stopped trials would have beaten the sweep's best: 0% [")


def test_nothing_is_added_to_the_sweep(result):
    events, files = events_of(result), files_of(result.folder)
    audit = result.audit(2, Tiny, TinyData)
    assert len(audit.rows) == 2
    assert events_of(result) == events
    assert {name for name in files_of(result.folder)} == set(files)
    changed = {name for name, time in files_of(result.folder).items() if files[name] != time}
    assert {str(name) for name in changed} <= {".", "sweep.db-wal", "sweep.db-shm", "sweep.db"}
    assert len(result.history) == 8


def test_random_states_are_left_as_they_were(result):
    before = torch.random.get_rng_state()
    result.audit(1, Tiny, TinyData)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_the_draw_is_random_without_repetition_and_the_seeds(result, audit):
    rows = {row.trial: row for row in audit.rows}
    drawn = [tuple(row.trial for row in result.audit(2, Tiny, seed=seed).rows) for seed in range(6)]
    assert all(len(set(pair)) == 2 and set(pair) <= set(rows) for pair in drawn)
    assert len(set(drawn)) > 1
    again = result.audit(2, Tiny, seed=3)
    assert tuple(row.trial for row in again.rows) == drawn[3]
    assert list(again.rows) == [rows[number] for number in drawn[3]]
    assert again.num_stops == len(rows)


def test_what_the_schedule_promised_is_told(tmp_path):
    result = swept(tmp_path, schedule=Promised(min_trials=2), max_trials=5)
    audit = result.audit(1, Tiny)
    assert audit.threshold == 0.2
    assert ", promised at most 20%" in audit.sentence


def test_a_higher_score_may_be_the_better_one(tmp_path):
    result = swept(tmp_path, monitor="val_acc", mode="max", max_trials=10)
    rows = result.audit(100, Tiny).rows
    assert rows
    for row in rows:
        value = max(curve_of(result.trials[row.trial], "val_acc"))
        assert (row.value, row.wrong) == (value, value > result.best.score)


def test_progress_is_a_line_a_trial(result, capsys, monkeypatch):
    result.audit(2, Tiny)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("audit of sweep s: 2 of ")
    assert [line.partition("]")[0] for line in lines[1:3]] == ["[1/2", "[2/2"]
    assert " of 2 stopped trials would have " in lines[3]
    monkeypatch.setenv("LIGHTNING_TUNE_SCREEN", "none")
    result.audit(1, Tiny)
    assert capsys.readouterr().out == ""


def test_a_sweep_that_stopped_nothing_says_so(tmp_path):
    audit = swept(tmp_path, schedule=None, max_trials=2).audit(3, Tiny)
    assert (audit.rows, audit.num_stops, audit.rate) == ((), 0, None)
    assert audit.sentence == "the schedule stopped no trial: there is nothing to audit"


def test_a_resumed_sweep_can_be_audited(result, audit):
    again = loop(result.folder.parent).fit(Tiny, datamodule=TinyData)
    assert again.audit(100, Tiny).rows == audit.rows


# -- every kind of trial


def generators():
    """Return loaders whose order comes from a generator of their own, which moves from trial to trial."""
    train, validation = tiny_loaders()
    generator = torch.Generator().manual_seed(7)
    return DataLoader(train.dataset, batch_size=16, shuffle=True, generator=generator), validation


def test_loaders_begin_as_they_did_when_the_sweep_was_fitted(tmp_path):
    result = loop(tmp_path).fit(Tiny, *generators())
    rows = result.audit(2, Tiny).rows
    assert len(rows) == 2
    for row in rows:
        train, validation = generators()
        trial = result.trials[row.trial]
        assert row.value == bare(trial, train_dataloaders=train, val_dataloaders=validation)


class Held(TinyData):
    """Keeps its loaders."""

    def __init__(self):
        super().__init__()
        self.loaders = generators()

    def train_dataloader(self):
        return self.loaders[0]

    def val_dataloader(self):
        return self.loaders[1]


def test_an_instance_of_a_datamodule_begins_as_it_did_too(tmp_path):
    data = Held()
    result = swept(tmp_path, data=data)
    mine, fresh = result.audit(2, Tiny, data), result.audit(2, Tiny, Held())
    assert mine.rows == fresh.rows
    assert [row.value for row in mine.rows] == [
        bare(result.trials[row.trial], data=Held) for row in mine.rows
    ]


class Growing(Tiny):
    def __init__(self, depth, lr=0.05):
        super().__init__(lr=lr, width=4 * depth)


def test_where_models_grow_the_whole_model_is_trained(tmp_path):
    result = swept(
        tmp_path,
        Growing,
        space={"lr": SPACE["lr"]},
        schedule=SuccessiveHalving(4, min_budget=2, eta=2, max_budget=4),
        budget="model.depth",
        max_trials=None,
        trainer={"max_epochs": 2, "accelerator": "cpu"},
    )
    audit = result.audit(5, Growing)
    assert len(audit.rows) == 2
    for row in audit.rows:
        assert row.step == 2
        assert row.value == bare(result.trials[row.trial], model=lambda lr: Growing(depth=4, lr=lr), epochs=2)
    assert "depth 2" in str(audit)


def test_repeats_are_trials_of_their_own(tmp_path):
    result = swept(
        tmp_path,
        schedule=SuccessiveHalving(2, min_budget=1, eta=2, max_budget=2),
        trainer={"max_epochs": 2, "accelerator": "cpu"},
        max_trials=2,
        repeats=2,
    )
    audit = result.audit(5, Tiny)
    stopped = [trial for trial in result.trials if trial.state == "stopped"]
    assert len({trial.group for trial in stopped}) == 1
    assert [(row.trial, row.value) for row in audit.rows] == [
        (each.number, bare(each, epochs=2)) for each in stopped
    ]
    assert len({row.value for row in audit.rows}) == 2


def test_paused_trials_count_once_the_sweep_has_ended_without_them(tmp_path):
    given = {"schedule": SuccessiveHalving(4, min_budget=1, eta=2), "max_trials": None}
    whole = swept(tmp_path / "whole", **given)
    target = sorted(trial.reports[0].value for trial in whole.trials)[-1]
    result = swept(tmp_path / "cut", target=target, **given)
    paused = [trial.number for trial in result.trials if trial.state == "paused"]
    rows = result.audit(9, Tiny).rows
    assert [row.trial for row in rows] == [
        number for number in paused if result.trials[number].score > target
    ]
    assert all(row.target == result.best.score for row in rows)


# -- loggers


class Talkative(Tiny):
    """Writes to its logger itself, as it may where there is one."""

    def on_train_epoch_end(self):
        self.logger.log_metrics({"mine": 1.0})
        self.logger.experiment.log_metrics({"own": 1.0})


def test_no_logger_of_the_sweep_hears_of_it(tmp_path):
    result = swept(tmp_path, Talkative, logger="csv", max_trials=5)
    before = {
        path: path.read_bytes() for path in result.folder.rglob("*") if path.suffix in (".csv", ".json")
    }
    assert before
    audit = result.audit(1, Talkative)
    assert [row.error for row in audit.rows] == [""]
    assert {path: path.read_bytes() for path in before} == before


# -- what goes wrong


class Wanting(Tiny):
    """Raises, diverges or interrupts once it is told to, in the trial of a width."""

    trouble: dict = {}

    def on_train_epoch_end(self):
        if self.current_epoch == 1 and (act := self.trouble.get(self.hparams.width)):
            act(self)


def explode(module):
    raise RuntimeError("no more")


def diverge(module):
    with torch.no_grad():
        for weights in module.parameters():
            weights.fill_(float("nan"))


def leave(module):
    module.trainer.should_stop = True


@pytest.mark.parametrize(
    ("act", "error", "early"),
    [
        (explode, "RuntimeError: no more", False),
        (leave, f"its Trainer ended it at epoch 2 of {EPOCHS}", True),
    ],
)
def test_a_trial_that_does_not_get_to_its_end_is_listed_and_not_counted(
    tmp_path, monkeypatch, act, error, early
):
    result = swept(tmp_path, Wanting)
    whole = result.audit(100, Wanting)
    failing = whole.rows[1]
    width = result.trials[failing.trial].config["width"]
    others = [row for row in whole.rows if result.trials[row.trial].config["width"] != width]
    monkeypatch.setattr(Wanting, "trouble", {width: act})
    audit = result.audit(100, Wanting)
    assert [row for row in audit.rows if row.wrong is not None] == others
    failed = next(row for row in audit.rows if row.trial == failing.trial)
    assert (failed.value, failed.wrong, failed.target) == (None, None, failing.target)
    assert failed.error.startswith(error)
    assert failed.early is early
    assert audit.num_judged == len(others) < len(audit.rows)
    assert f"{'ended early' if early else 'failed'} when trained again, not counted" in audit.sentence


@pytest.mark.parametrize("schedule", [MedianStopping, Promised])
def test_a_trial_that_diverges_when_trained_again_was_stopped_rightly(tmp_path, monkeypatch, schedule):
    result = swept(tmp_path, Wanting, schedule=schedule(min_trials=2))
    whole = result.audit(100, Wanting)
    width = result.trials[whole.rows[1].trial].config["width"]
    monkeypatch.setattr(Wanting, "trouble", {width: diverge})
    audit = result.audit(100, Wanting)
    assert audit.num_judged == len(whole.rows) == len(audit.rows)
    for row, before in zip(audit.rows, whole.rows, strict=True):
        if result.trials[row.trial].config["width"] == width:
            assert (row.value, row.wrong, row.error, row.early) == (None, False, "diverged: nan", False)
        else:
            assert row == before


def interrupting(times):
    def act(module):
        for _ in range(times):
            signal.raise_signal(signal.SIGINT)

    return act


def test_the_first_ctrl_c_returns_what_was_judged_until_then(tmp_path, monkeypatch, capfd):
    result = swept(tmp_path, Wanting)
    rows = result.audit(100, Wanting).rows
    widths = [result.trials[row.trial].config["width"] for row in rows]
    place = next(place for place in range(1, len(rows)) if widths[place] not in widths[:place])
    monkeypatch.setattr(Wanting, "trouble", {widths[place]: interrupting(1)})
    before, events = signal.getsignal(signal.SIGINT), events_of(result)
    audit = result.audit(100, Wanting)
    assert audit.rows == rows[:place]
    assert audit.sentence.endswith("; interrupted by Ctrl-C")
    assert signal.getsignal(signal.SIGINT) is before
    monkeypatch.setattr(Wanting, "trouble", {widths[place]: interrupting(2)})
    with pytest.raises(KeyboardInterrupt):
        result.audit(100, Wanting)
    assert events_of(result) == events


class Impatient(Tiny):
    """Brings its own early stopping."""

    def configure_callbacks(self):
        return [EarlyStopping("val_loss", patience=1, min_delta=10.0)]


def stoppers(kind, folder):
    """Return callbacks that end every trial after two epochs, if it has not been stopped by then."""
    if kind == "curve":
        return [CurveExtrapolationStopping("val_loss", target=-50.0, min_epochs=2, threshold=0.9999)]
    if kind == "pruner":  # of a sweep of its own, in which a run has come to 0 by the second epoch
        pruner = SuccessiveHalvingPruner("val_loss", sweep="own", store=folder / "own.db", min_epochs=2)
        quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
        trainer = pl.Trainer(
            max_epochs=EPOCHS, accelerator="cpu", enable_checkpointing=False, callbacks=[pruner], **quiet
        )
        trainer.fit(Nought(), datamodule=TinyData())
        return [SuccessiveHalvingPruner("val_loss", sweep="own", store=folder / "own.db", min_epochs=2)]
    return [EarlyStopping("val_loss", patience=1, min_delta=10.0)] if kind == "early" else []


class Nought(Tiny):
    def validation_step(self, batch, index):
        self.log("val_loss", 0.0)


@pytest.mark.parametrize(
    ("kind", "form"),
    [
        ("early", "arguments"),
        ("early", "template"),
        ("early", "callable"),
        ("curve", "arguments"),
        ("pruner", "arguments"),
        ("module", "arguments"),
    ],
)
def test_callbacks_that_stop_runs_are_left_out(tmp_path, kind, form):
    """Every trial ends after two epochs in the sweep, and after all of them in the audit."""
    arguments = {"max_epochs": EPOCHS, "accelerator": "cpu", "callbacks": stoppers(kind, tmp_path)}
    trainer = {
        "arguments": arguments,
        "template": pl.Trainer(**arguments, logger=False, default_root_dir=tmp_path),
        "callable": lambda config: pl.Trainer(
            **{**arguments, "callbacks": stoppers(kind, tmp_path)}, logger=False, default_root_dir=tmp_path
        ),
    }[form]
    model = Impatient if kind == "module" else Tiny
    schedule = MedianStopping(min_trials=1, max_budget=EPOCHS)
    result = swept(tmp_path, model, trainer=trainer, schedule=schedule, max_trials=6)
    assert {trial.epochs for trial in result.trials} <= {1, 2}
    assert any(f"ended it at epoch 2 of {EPOCHS}: " in trial.reason for trial in result.trials)
    rows = result.audit(100, model).rows
    assert rows
    assert [row.value for row in rows] == [bare(result.trials[row.trial]) for row in rows]
    assert {(row.error, row.early) for row in rows} == {("", False)}


def test_a_trainer_that_trains_no_further_has_come_to_its_end(tmp_path):
    """It was told so by a callable, which the schedule does not know."""
    result = swept(
        tmp_path,
        trainer=lambda config: pl.Trainer(max_epochs=3, accelerator="cpu", logger=False),
        schedule=MedianStopping(min_trials=2, max_budget=9),
    )
    rows = result.audit(2, Tiny).rows
    assert rows
    assert [row.value for row in rows] == [bare(result.trials[row.trial], epochs=3) for row in rows]


def test_where_legs_train_anew_one_that_something_ends_early_is_not_judged(tmp_path):
    """Its step is that of the whole budget all the same."""

    class Leaving(Growing):
        def on_train_epoch_end(self):
            self.trainer.should_stop = self.trainer.should_stop or self.hparams.depth == 4

    result = swept(
        tmp_path,
        Leaving,
        space={"lr": SPACE["lr"]},
        schedule=SuccessiveHalving(4, min_budget=2, eta=2, max_budget=4),
        budget="model.depth",
        max_trials=None,
        trainer={"max_epochs": 2, "accelerator": "cpu"},
    )
    rows = result.audit(5, Leaving).rows
    assert [(row.wrong, row.early) for row in rows] == [(None, True)] * 2
    assert {row.error for row in rows} == {"its Trainer ended it at epoch 1 of 2, with depth 4"}


@pytest.mark.parametrize("n", [0, -1, 1.5, True, "3", None])
def test_n_is_a_number_of_trials(result, n):
    with pytest.raises(ArgumentError, match="`n` must be an integer of at least 1, got"):
        result.audit(n, Tiny)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"seed": -1}, "`seed` must be an integer of at least 0"),
        ({"model": torch.nn.Linear}, "`model` must be a LightningModule class"),
        ({"model": tiny_module(pytorch_lightning)}, "`model` must be of the package that the sweep ran with"),
        ({"datamodule": 3}, "`datamodule` must be a LightningDataModule"),
        ({"datamodule": tiny_data(pytorch_lightning)}, "`datamodule` must be of the package"),
    ],
)
def test_other_arguments_are_checked_before_anything_trains(result, given, message):
    with pytest.raises(ArgumentError, match=message):
        result.audit(1, **{"model": Tiny, **given})


def test_a_model_that_does_not_take_the_spaces_keys_is_refused(result):
    with pytest.raises(UnknownArgumentError, match="takes no argument 'width'"):
        result.audit(1, Growing)


def test_sweeps_that_cannot_be_audited_say_why(tmp_path, result):
    several = swept(tmp_path, monitor=["val_loss", "train_loss"], name="two", schedule=None, max_trials=1)
    with pytest.raises(ArgumentError, match="there are 2 objectives"):
        several.audit(1, Tiny)
    with pytest.raises(ArgumentError, match="this sweep called a function"):
        optimize(lambda config: config["x"], {"x": Float(0, 1)}, max_trials=2).audit(1, Tiny)
    dry = swept(tmp_path, name="dry", dry_run=True)
    for blind in (dry, pickle.loads(pickle.dumps(result))):
        with pytest.raises(ArgumentError, match="does not know the Trainer. Fit again with the same `name=`"):
            blind.audit(1, Tiny)


def test_trials_that_inherited_weights_cannot_be_trained_from_their_record(tmp_path):
    schedule = PopulationBased(4, interval=1, max_budget=2)
    result = swept(
        tmp_path, space={"lr": SPACE["lr"]}, schedule=schedule, max_trials=None,
        trainer={"max_epochs": 2, "accelerator": "cpu"},
    )  # fmt: skip
    with pytest.raises(ArgumentError, match="began with the weights of trial .*PopulationBased"):
        result.audit(1, Tiny)


def test_a_record_that_is_gone_is_a_stores_error(tmp_path):
    store = MemoryStore()
    result = swept(tmp_path, store=store, max_trials=5)
    assert result.audit(1, Tiny).rows
    store.close()
    with pytest.raises(StoreError, match="was closed"):
        result.audit(1, Tiny)
