import lightning.pytorch as pl
import pytest

from lightning_tune import Float, SuccessiveHalving, TuneLoop
from lightning_tune.errors import CheckpointError, MissingDependencyError
from lightning_tune.testing.models import tiny_data, tiny_module


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
