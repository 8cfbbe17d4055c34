"""A space and its configurations as people read them."""

import pytest

from lightning_tune.core.space import Choice, Float, Int, Space

SPEC = {
    "lr": Float(1e-5, 0.1, log=True),
    "opt": Choice({"sgd": {"m": Float(0, 1)}, "adam": {}}),
    "width": Int(16, 512),
    "act": Choice(["relu", "leaky relu", None, [1, 2], "", "\x1b[31m"]),
    "depth": 3,
}
SPACE = Space(SPEC)


@pytest.mark.parametrize(
    ("config", "text"),
    [
        (
            {"depth": 3, "width": 64, "lr": 0.00312345, "opt": "sgd", "m": 0.9},
            "lr=0.00312 opt=sgd m=0.9 width=64",
        ),
        ({"lr": 1e-5, "act": "leaky relu"}, 'lr=1e-05 act="leaky relu"'),
        ({"act": None}, "act=null"),
        ({"act": [1, 2]}, "act=[1, 2]"),
        ({"act": ""}, 'act=""'),
        ({"act": "\x1b[31m"}, 'act="\\u001b[31m"'),
        ({"old": 1, "lr": 0.5, "flag": True}, "lr=0.5 old=1 flag=true"),
        ({}, ""),
    ],
)
def test_describe(config, text):
    assert SPACE.describe(config) == text


@pytest.mark.parametrize(
    ("change", "sentences"),
    [
        ({}, []),
        (
            {"lr": Float(1e-4, 0.1, log=True)},
            ["`lr` changed: Float(1e-05, 0.1, log=True) became Float(0.0001, 0.1, log=True)."],
        ),
        ({"width": 64}, ["`width` changed: Int(16, 512) became the constant 64."]),
        ({"depth": 3.0}, ["`depth` changed: the constant 3 became the constant 3.0."]),
        ({"drop": Float(0, 1)}, ["`drop` was added: Float(0.0, 1.0)."]),
        (
            {"opt": Choice({"adam": {}, "lion": {"beta": Float(0, 1)}})},
            [
                "`m (opt='sgd')` was removed: it was Float(0.0, 1.0).",
                "`beta (opt='lion')` was added: Float(0.0, 1.0).",
                "`opt` lost the option 'sgd'.",
                "`opt` gained the option 'lion'.",
            ],
        ),
        (
            {"opt": Choice({"adam": {}, "sgd": {"m": Float(0, 2)}}, ordered=True)},
            [
                "`opt` has its options in another order: 'sgd', 'adam' became 'adam', 'sgd'.",
                "`opt` is ordered.",
                "`m (opt='sgd')` changed: Float(0.0, 1.0) became Float(0.0, 2.0).",
            ],
        ),
    ],
)
def test_diff(change, sentences):
    other = Space({**SPEC, **change})
    assert SPACE.diff(other) == sentences
    assert (other == SPACE) == (not sentences)


def test_diff_of_what_was_removed_and_of_the_order():
    assert SPACE.diff(Space({k: v for k, v in SPEC.items() if k != "width"})) == [
        "`width` was removed: it was Int(16, 512)."
    ]
    assert Space({"a": 1, "b": 2}).diff(Space({"b": 2, "a": 1})) == [
        "The keys are in another order: a, b became b, a."
    ]


def test_html_is_escaped_and_has_a_line_for_every_place():
    html = Space({"<b>": Choice({"<script>": {"x": Int(0, 1)}, "&": {"x": "</td>"}})})._repr_html_()
    assert html.count("<tr>") == 4
    for raw in ("<b>", "<script>", "&'", "'</td>"):
        assert raw not in html
    assert "&lt;b&gt; = &#x27;&lt;script&gt;&#x27;" in html
