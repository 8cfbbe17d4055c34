import pickle

import lightning.pytorch as pl
import pytest
import torch

from lightning_tune import Float, Int, SuccessiveHalving, TuneLoop
from lightning_tune.errors import ArgumentError, CheckpointError, MissingDependencyError
from lightning_tune.testing.models import tiny_data, tiny_loaders, tiny_module


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    return TuneLoop(
        {"lr": Float(1e-3, 1e-1, log=True), "dropout": Float(0.0, 0.5)},
        monitor="val_loss",
        max_trials=4,
        trainer={"max_epochs": 2, "accelerator": "cpu"},
        logger=False,
        root_dir=tmp_path_factory.mktemp("sweeps"),
        name="b",
    ).fit(tiny_module(pl), datamodule=tiny_data(pl))


def test_the_best_is_the_lowest_loss_of_all_reports(result):
    everything = [(report.value, trial.number) for trial in result.trials for report in trial.reports]
    assert (result.best.score, result.best.number) == min(everything)
    assert [trial.score for trial in result.top(4)] == sorted(trial.score for trial in result.trials)


def test_a_table_has_a_row_a_trial(result):
    frame = result.dataframe()
    assert frame["trial"].tolist() == [0, 1, 2, 3]
    assert frame["score"].tolist() == [trial.score for trial in result.trials]
    assert frame["config.lr"].tolist() == [trial.config["lr"] for trial in result.trials]
    assert {"state", "epochs", "reason", "seed", "seconds", "metrics.val_acc", "metrics.val_loss"} <= set(
        frame.columns
    )


def test_without_pandas_the_message_says_what_to_install(result, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'lightning-tuneloop\[pandas\]'"):
        result.dataframe()


def test_a_trial_without_a_checkpoint_says_so(result):
    other = next(trial for trial in result.trials if trial.checkpoint is None)
    with pytest.raises(CheckpointError, match="has no checkpoint"):
        other.load(tiny_module(pl))


def test_a_damaged_checkpoint_is_not_loaded(result):
    path = result.best.checkpoint
    whole = path.read_bytes()
    try:
        path.write_bytes(whole[:-1] + b"x")
        with pytest.raises(CheckpointError, match="damaged"):
            result.best.load(tiny_module(pl))
    finally:
        path.write_bytes(whole)


def test_notebooks_see_a_table_with_escaped_text(result):
    page = result._repr_html_()
    assert page.count("<tr>") == 5
    assert "&lt;Result" in page
    assert "<table>" in result.best._repr_html_()
    assert f"best {result.best.score:.6g} in trial {result.best.number}" in repr(result)


def test_a_result_can_be_pickled_and_then_only_lacks_the_way_to_train(result):
    copy = pickle.loads(pickle.dumps(result))
    assert repr(copy) == repr(result)
    assert copy.dataframe().equals(result.dataframe())
    assert copy.best.load(tiny_module(pl)).hparams == result.best.load(tiny_module(pl)).hparams
    with pytest.raises(ArgumentError, match="`audit` needs the Result that `TuneLoop.fit` returned"):
        copy.audit(1, tiny_module(pl))
    assert result.audit(1, tiny_module(pl)).num_stops == 0


class Growing(tiny_module(pl)):
    def __init__(self, depth, lr=0.05):
        super().__init__(lr=lr, width=4 * depth)


def test_a_module_that_grew_is_built_again_as_large_as_the_weights_that_were_kept(tmp_path):
    result = TuneLoop(
        {"lr": Float(1e-3, 1e-1, log=True)},
        monitor="val_loss",
        schedule=SuccessiveHalving(3, min_budget=2, eta=2, max_budget=4),
        budget="model.depth",
        trainer={"max_epochs": 1, "accelerator": "cpu"},
        logger=False,
        keep_checkpoints=3,
        root_dir=tmp_path,
        name="grow",
    ).fit(Growing, datamodule=tiny_data(pl))
    widths = [trial.load(Growing).net[0].out_features for trial in result.trials]
    assert sorted(widths) == [8, 8, 16]
    frame = result.dataframe()
    assert sorted(frame["depth"]) == [2.0, 2.0, 4.0]
    assert "epochs" not in frame.columns


class Sized(tiny_module(pl)):
    """Logs how many weights it has, beside its loss."""

    def on_validation_epoch_end(self):
        self.log("size", float(sum(weights.numel() for weights in self.parameters())))


def several(tmp_path, **given):
    settings = {"max_trials": 6, "trainer": {"max_epochs": 3, "accelerator": "cpu"}, "logger": False, **given}
    return TuneLoop(
        {"lr": Float(1e-3, 1e-1, log=True), "width": Int(2, 40, log=True)},
        monitor=["val_loss", "size"],
        search="random",
        root_dir=tmp_path,
        name="s",
        **settings,
    ).fit(Sized, *tiny_loaders())


def test_several_objectives_have_a_front_and_a_best_compromise(tmp_path):
    result = several(tmp_path)
    points = {trial.number: trial.values for trial in result.trials}
    assert all(trial.values == trial.reports[-1].values for trial in result.trials)
    front = {
        number: (loss, size)
        for number, (loss, size) in points.items()
        if not any(a <= loss and b <= size and (a, b) != (loss, size) for a, b in points.values())
    }
    assert [trial.number for trial in result.front] == sorted(front, key=front.get)
    low = [min(column) for column in zip(*front.values(), strict=True)]
    range_ = [max(column) - min(column) for column in zip(*front.values(), strict=True)]
    far = {
        number: sum(((v - a) / (r or 1)) ** 2 for v, a, r in zip(values, low, range_, strict=True))
        for number, values in front.items()
    }
    assert result.best.number == min(far, key=far.get)
    assert result.best.score is None
    assert {trial.number for trial in result.top(len(front))} == set(front)
    assert {trial.number for trial in result.trials if trial.checkpoint} == set(front)
    for trial in result.front:
        module = trial.load(Sized)
        inputs, labels = next(iter(tiny_loaders()[1]))
        assert torch.nn.functional.cross_entropy(module.net(inputs), labels).item() == trial.values[0]


def test_tables_of_several_objectives_have_a_column_each(tmp_path):
    result = several(tmp_path, max_trials=3, repeats=2, trainer={"max_epochs": 1, "accelerator": "cpu"})
    frame = result.dataframe()
    assert "score" not in frame.columns
    assert list(zip(frame["values.val_loss"], frame["values.size"], strict=True)) == [
        trial.values for trial in result.trials
    ]
    means = frame.groupby("group")["values.val_loss"].mean()
    assert frame["mean.val_loss"].tolist() == pytest.approx([means[group] for group in frame["group"]])
    assert set(frame["stderr.size"]) == {0.0}
    assert set(frame.loc[frame["front"], "group"]) == {group.number for group in result.history.front}
    assert f"front of {len(result.front)}, best compromise in trial {result.best.number}" in repr(result)
    page = result._repr_html_()
    assert "<th>val_loss</th><th>size</th>" in page
    assert f"<td>{result.best.values[1]:.6g}</td>" in page
    assert "<th>size</th>" in result.best._repr_html_()


def test_one_objective_has_its_value_and_a_front_of_the_best(result):
    assert [trial.values for trial in result.trials] == [(trial.score,) for trial in result.trials]
    assert [trial.number for trial in result.front] == [result.best.number]
