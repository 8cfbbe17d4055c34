from pathlib import Path

import pytest

from lightning_tune.core.budget import Budget
from lightning_tune.core.outcome import Outcome, TrialInfo
from lightning_tune.track.facts import hyperparameters, last_line, leg_folder, outcome_facts


def _info(config: dict[str, object]) -> TrialInfo:
    return TrialInfo(sweep="s", number=3, group=3, config=config, seed=7, folder=Path("3"))


def test_hyperparameters_are_the_configuration_with_seed_and_number() -> None:
    config: dict[str, object] = {"lr": 0.1, "data.batch_size": 4}
    assert hyperparameters(_info(config)) == {"lr": 0.1, "data.batch_size": 4, "seed": 7, "trial": 3}
    assert config == {"lr": 0.1, "data.batch_size": 4}


def test_a_key_of_the_configuration_is_not_overwritten() -> None:
    assert hyperparameters(_info({"seed": 1})) == {"seed": 1, "tune/seed": 7, "trial": 3}


def test_outcome_facts_leave_out_what_there_is_not() -> None:
    failed = Outcome(
        state="failed",
        score=None,
        step=0.5,
        best_step=None,
        reason="it raised",
        cause="exception",
        error="Traceback:\n  File ...\nValueError: bad\n",
    )
    assert outcome_facts(failed) == {
        "tune/state": "failed",
        "tune/epochs": 0.5,
        "tune/reason": "it raised",
        "tune/cause": "exception",
        "tune/error": "ValueError: bad",
    }


def test_outcome_facts_of_a_success() -> None:
    outcome = Outcome(state="completed", score=0.9, step=27.0, best_step=20.0, reason="done")
    assert outcome_facts(outcome) == {
        "tune/state": "completed",
        "tune/score": 0.9,
        "tune/epochs": 27,
        "tune/best_epoch": 20,
        "tune/reason": "done",
    }
    assert "tune/score" not in outcome_facts(
        Outcome(state="failed", score=float("nan"), step=1, best_step=None, reason="")
    )


def test_the_last_line_of_no_error_is_empty() -> None:
    assert last_line(" \n") == ""


@pytest.mark.parametrize(
    ("budget", "names"),
    [
        (Budget(), ("tune/epochs", "tune/best_epoch")),
        (Budget(unit="steps"), ("tune/steps", "tune/best_step")),
        (Budget(grows="data"), ("tune/data", "tune/best_data")),
        (Budget(grows="model.layers"), ("tune/layers", "tune/best_layers")),
    ],
)
def test_what_was_spent_is_named(budget: Budget, names: tuple[str, str]) -> None:
    outcome = Outcome(state="completed", score=0.5, step=4.0, best_step=0.25, reason="done")
    facts = outcome_facts(outcome, budget)
    assert [facts[name] for name in names] == [4, 0.25]


def test_where_legs_train_anew_each_has_curves_of_its_own() -> None:
    first, second = (
        TrialInfo(sweep="s", number=0, group=0, config={}, seed=0, folder=Path("0"), leg=leg)
        for leg in (0, 1)
    )
    data = Budget(grows="data")
    assert [leg_folder(info, "csv", Budget(unit="steps")) for info in (first, second)] == ["csv", "csv"]
    assert [leg_folder(info, "csv", data) for info in (first, second)] == ["csv", "csv-leg-1"]


def test_several_objectives_are_a_fact_each() -> None:
    outcome = Outcome(
        state="completed",
        score=None,
        step=2.0,
        best_step=2.0,
        reason="done",
        scores={"val_loss": 0.5, "size": 9.0},
    )
    facts = outcome_facts(outcome)
    assert (facts["tune/score/val_loss"], facts["tune/score/size"]) == (0.5, 9.0)
    assert "tune/score" not in facts
