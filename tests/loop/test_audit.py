import sys

import pytest
from scipy.stats import binomtest

from lightning_tune.core.budget import Budget
from lightning_tune.errors import MissingDependencyError
from lightning_tune.loop.audit import Audit, AuditRow


def row(trial, wrong, **given):
    values = {"step": 3.0, "reason": "P = 0.01", "score": 0.7, "target": 0.9, "wrong": wrong, **given}
    return AuditRow(trial=trial, **{"value": None if wrong is None else 0.8, **values})


def audit(wrong, right, failed=0, early=0, **given):
    verdicts = [True] * wrong + [False] * right + [None] * failed
    rows = [row(trial, verdict) for trial, verdict in enumerate(verdicts)]
    rows = (*rows, *(row(len(rows) + place, None, early=True) for place in range(early)))
    return Audit(**{"sweep": "digits", "rows": rows, "num_stops": 50, **given})


@pytest.mark.parametrize(
    ("wrong", "judged"), [(0, 1), (1, 1), (0, 20), (2, 20), (19, 20), (20, 20), (7, 300)]
)
def test_the_interval_is_that_of_clopper_and_pearson(wrong, judged):
    found = audit(wrong, judged - wrong, failed=3)
    exact = binomtest(wrong, judged).proportion_ci(0.95, method="exact")
    assert found.interval == pytest.approx((exact.low, exact.high), abs=1e-9)
    assert (found.num_wrong, found.num_judged, found.rate) == (wrong, judged, wrong / judged)


def test_the_interval_of_no_wrong_stop_has_a_closed_form():
    """At its upper end all of them are right with a probability of 2.5%."""
    assert audit(0, 20).interval == (0.0, pytest.approx(1 - 0.025 ** (1 / 20)))
    assert audit(20, 0).interval == (pytest.approx(0.025 ** (1 / 20)), 1.0)


def test_where_nothing_was_judged_nothing_is_known():
    found = audit(0, 0, failed=2)
    assert (found.rate, found.interval, found.num_judged) == (None, (0.0, 1.0), 0)
    assert found.sentence == "no stop was judged; 2 failed when trained again, not counted"
    assert audit(0, 0, failed=1, threshold=0.05).sentence == (
        "no stop was judged, promised at most 5%; 1 failed when trained again, not counted"
    )


@pytest.mark.parametrize(
    ("found", "sentence"),
    [
        (audit(2, 18, threshold=0.05), "2 of 20 stops were wrong: 10% [1%, 32%], promised at most 5%"),
        (audit(1, 19, threshold=0.025), "1 of 20 stops was wrong: 5% [0.1%, 25%], promised at most 2.5%"),
        (audit(2, 10), "2 of 12 stopped trials would have beaten the sweep's best: 17% [2%, 48%]"),
        (audit(0, 4), "0 of 4 stopped trials would have beaten the sweep's best: 0% [0%, 60%]"),
        (
            audit(3, 1, failed=1, threshold=0.05, reason="interrupted by Ctrl-C"),
            "3 of 4 stops were wrong: 75% [19%, 99%], promised at most 5%; 1 failed when trained again, not "
            "counted; interrupted by Ctrl-C",
        ),
        (
            audit(0, 1, early=2, failed=1),
            "0 of 1 stopped trials would have beaten the sweep's best: 0% [0%, 98%]; 2 ended early when "
            "trained again, not counted; 1 failed when trained again, not counted",
        ),
        (audit(0, 0, num_stops=0), "the schedule stopped no trial: there is nothing to audit"),
    ],
)
def test_it_says_in_a_sentence_what_was_found(found, sentence):
    assert found.sentence == sentence
    assert repr(found) == f"<Audit 'digits': {sentence}>"
    assert str(found).splitlines()[-1] == sentence


def test_as_text_it_is_a_table_with_a_line_a_stop():
    rows = (
        row(4, True, step=0.25),
        row(7, None, score=None, target=None, reason="late", error="RuntimeError: no\x1b[31m"),
        row(8, None, step=0.5, reason="late", error="EarlyStopping ended it", early=True),
        row(9, False, step=0.5, value=None, reason="late", error="diverged: nan"),
    )
    lines = str(Audit(sweep="d", rows=rows, num_stops=2, budget=Budget(grows="data"))).splitlines()
    assert [line.split() for line in lines[:2]] == [
        ["trial", "stopped", "at", "score", "target", "at", "the", "end", "wrong", "reason"],
        ["4", "25%", "of", "the", "data", "0.7", "0.9", "0.8", "yes", "P", "=", "0.01"],
    ]
    assert lines[2].split() == [
        "7", "300%", "of", "the", "data", "failed", "late;", "trained", "again:", "RuntimeError:", "no[31m",
    ]  # fmt: skip
    assert "  ended early  " in lines[3]
    assert lines[3].endswith("late; trained again: EarlyStopping ended it")
    assert lines[4].split()[7:] == ["no", "late;", "trained", "again:", "diverged:", "nan"]
    assert len(lines) == 6


def test_notebooks_see_a_table_with_escaped_text():
    page = Audit(sweep="<d>", rows=(row(1, False, reason="a < b"),), num_stops=1)._repr_html_()
    assert page.count("<tr>") == 2
    assert "<td>a &lt; b</td>" in page
    assert "&lt;d&gt;" in page


def test_a_table_has_a_row_a_stop():
    found = audit(1, 1, failed=1)
    frame = found.dataframe()
    assert frame["trial"].tolist() == [0, 1, 2]
    assert frame["wrong"].tolist() == [True, False, None]
    assert frame["epochs"].tolist() == [3.0] * 3
    assert list(audit(1, 0, budget=Budget(grows="model.depth")).dataframe().columns) == [
        "trial", "depth", "reason", "score", "target", "value", "wrong", "error", "early",
    ]  # fmt: skip
    assert len(audit(0, 0, num_stops=0).dataframe()) == 0


def test_without_pandas_the_message_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'lightning-tuneloop\[pandas\]'"):
        audit(1, 1).dataframe()
