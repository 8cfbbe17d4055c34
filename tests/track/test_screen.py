import io
import sys
from types import ModuleType
from typing import Any

import pytest

from lightning_tune.errors import ArgumentError, MissingDependencyError
from lightning_tune.track import screen as screen_module
from lightning_tune.track.lines import LineScreen
from lightning_tune.track.live import LiveScreen
from lightning_tune.track.screen import SilentScreen, make_screen


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def _make(story: ModuleType, mode: Any, stream: Any = None) -> Any:
    return make_screen(
        mode, space=story.Space(), objective=story.OBJECTIVE, max_trials=4, max_epochs=4, stream=stream
    )


def test_auto_takes_what_suits_the_stream(story: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    assert type(_make(story, "auto", Terminal())) is LiveScreen
    assert type(_make(story, "auto", io.StringIO())) is LineScreen
    latin = Terminal()
    latin.encoding = "latin-1"  # type: ignore[misc]
    assert type(_make(story, "auto", latin)) is LineScreen
    monkeypatch.setenv("TERM", "dumb")
    assert type(_make(story, "auto", Terminal())) is LineScreen
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(screen_module, "available", lambda package: False)
    assert type(_make(story, "auto", Terminal())) is LineScreen


def test_a_mode_that_is_asked_for(story: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    assert type(_make(story, "rich", io.StringIO())) is LiveScreen
    assert type(_make(story, "plain", Terminal())) is LineScreen
    monkeypatch.setitem(sys.modules, "rich", None)
    with pytest.raises(MissingDependencyError, match=r"the live table needs.*lightning-tuneloop\[rich\]"):
        _make(story, "rich", io.StringIO())


def test_another_mode_is_refused_with_the_choices(story: ModuleType) -> None:
    with pytest.raises(ArgumentError, match="'auto', 'rich', 'plain', 'none', got 'fancy'"):
        _make(story, "fancy")


def test_none_shows_nothing(story: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    screen = _make(story, "none")
    assert type(screen) is SilentScreen
    screen.start("x")
    story.Story(screen).run(0, [0.5])
    screen.note("x")
    screen.close()
    assert capsys.readouterr() == ("", "")


def test_standard_output_is_the_default(story: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    screen = _make(story, "auto")
    screen.start("heading")
    screen.close()
    assert capsys.readouterr().out == "heading\n"
