import io
from types import ModuleType
from typing import Any

import pytest

from lightning_tune.core.budget import Budget
from lightning_tune.track.screen import make_screen


def _screen(story: ModuleType, stream: Any = None, max_trials: int | None = 4) -> tuple[Any, Any]:
    out = stream or io.StringIO()
    screen = make_screen(
        "plain",
        space=story.Space(),
        objective=story.OBJECTIVE,
        max_trials=max_trials,
        max_epochs=4,
        stream=out,
    )
    return screen, out


def test_one_line_a_trial(story: ModuleType) -> None:
    screen, out = _screen(story)
    screen.start("sweep \x1b[31mdigits\nsecond line")
    tale = story.Story(screen)
    tale.run(0, [0.5, 0.6])
    tale.begin(1, config={"lr": "[/x]\x1b[2J\n\u202e"})
    tale.report(1, [0.9])
    tale.pause(1)
    tale.begin(1)
    tale.end(1, state="stopped", reason="rung 1: 5th of 9")
    tale.run(2, [], state="failed", reason="ValueError: too wide (model.py:71)", error=story.ERROR)
    screen.note("ended")
    screen.close()
    assert out.getvalue().splitlines() == [
        "sweep [31mdigits",
        "second line",
        "[1/4] trial 0 completed, 2 epochs | score 0.6000 | lr=0.1 | trained"
        " | best 0.6000 (trial 0) | 2-11 s left",
        "[2/4] trial 1 stopped, 1 epoch | score 0.9000 | lr=[/x][2J | rung 1: 5th of 9"
        " | best 0.9000 (trial 1) | 1-5 s left",
        "[3/4] trial 2 failed, 0 epochs | score - | lr=0.3 | model.py:71 ValueError: too wide"
        " | best 0.9000 (trial 1) | under 3 s left",
        "ended",
    ]


def test_without_a_size_there_is_no_time_left(story: ModuleType) -> None:
    screen, out = _screen(story, max_trials=None)
    story.Story(screen).run(0, [float("nan")], state="failed", reason="")
    assert out.getvalue() == "[1] trial 0 failed, 1 epoch | score - | lr=0.1\n"


def test_a_stream_that_knows_no_unicode(story: ModuleType) -> None:
    raw = io.BytesIO()
    screen, out = _screen(story, io.TextIOWrapper(raw, encoding="ascii"))
    screen.note("größe ★ \ud800")
    out.flush()
    assert raw.getvalue() == b"gr??e ? ?\n"


@pytest.mark.parametrize("kind", ["broken pipe", "closed"])
def test_a_stream_that_is_gone_does_not_stop_the_sweep(story: ModuleType, kind: str) -> None:
    class Broken(io.StringIO):
        writes = 0

        def write(self, text: str) -> int:
            self.writes += 1
            raise BrokenPipeError

    stream = Broken() if kind == "broken pipe" else io.StringIO()
    screen, _ = _screen(story, stream)
    if kind == "closed":
        stream.close()
    story.Story(screen).run(0, [0.5])
    screen.note("more")
    screen.close()
    assert kind == "closed" or stream.writes == 1


def test_a_line_says_what_was_spent_in_its_unit(story: ModuleType) -> None:
    out = io.StringIO()
    screen = make_screen(
        "plain",
        space=story.Space(),
        objective=story.OBJECTIVE,
        max_trials=4,
        max_epochs=4,
        budget=Budget(grows="data"),
        stream=out,
    )
    tale = story.Story(screen)
    tale.begin(0, budget=0.25)
    tale.report(0, [0.5])
    tale.end(0)
    assert out.getvalue().startswith("[1/4] trial 0 completed, 25% of the data | score 0.5000")


def test_several_objectives_are_all_told(story: ModuleType) -> None:
    out = io.StringIO()
    screen = make_screen(
        "plain", space=story.Space(), objective=story.SEVERAL, max_trials=None, max_epochs=4, stream=out
    )
    tale = story.Story(screen, objective=story.SEVERAL)
    tale.run(0, [(0.5, 9.0), (0.25, 9.0)])
    tale.run(1, [(0.75, 2000.0)])
    tale.run(2, [], state="failed", reason="why")
    assert out.getvalue().splitlines() == [
        "[1] trial 0 completed, 2 epochs | score 0.2500, 9.0000 | lr=0.1 | trained"
        " | front of 1, best compromise 0.2500, 9.0000 (trial 0)",
        "[2] trial 1 completed, 1 epoch | score 0.7500, 2000 | lr=0.2 | trained"
        " | front of 1, best compromise 0.2500, 9.0000 (trial 0)",
        "[3] trial 2 failed, 0 epochs | score - | lr=0.3 | why"
        " | front of 1, best compromise 0.2500, 9.0000 (trial 0)",
    ]
