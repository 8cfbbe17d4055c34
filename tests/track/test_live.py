import io
import sys
import threading
import time
from collections.abc import Callable
from types import ModuleType

import pytest
from rich.console import Console

from lightning_tune.track.live import LiveScreen
from lightning_tune.track.tally import Tally


def _screen(story: ModuleType, stream: io.StringIO, refresh_s: float = 0.02) -> LiveScreen:
    return LiveScreen(
        Tally(4),
        space=story.Space(),
        objective=story.OBJECTIVE,
        max_epochs=4,
        stream=stream,
        refresh_s=refresh_s,
    )


def _wait(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_the_table_follows_and_stays(story: ModuleType) -> None:
    stream = io.StringIO()
    screen = _screen(story, stream)
    tale = story.Story(screen)
    tale.begin(0)  # before the heading: counted, not drawn
    screen.start("sweep [/digits]")
    assert stream.getvalue().startswith("sweep [/digits]\n")
    tale.report(0, [0.5])
    _wait(lambda: "running" in stream.getvalue())
    screen.note("a note\x1b[2J\nof two lines")
    tale.end(0)
    tale.run(1, [0.8])
    screen.close()
    screen.close()
    assert threading.active_count() == 1 or not any(
        thread.name == "lightning-tune-screen" for thread in threading.enumerate()
    )
    assert "a note[2J\n" in stream.getvalue()
    final = stream.getvalue().rsplit("trial", maxsplit=2)
    assert "★ 1" in stream.getvalue()[-1500:]
    assert "2/4 trials" in stream.getvalue()[-1500:]
    assert stream.getvalue().endswith("\x1b[?25h")  # the cursor is back
    assert final


def test_it_draws_a_few_times_a_second_however_many_events_there_are(story: ModuleType) -> None:
    screen = _screen(story, io.StringIO(), refresh_s=0.2)
    draws: list[float] = []
    draw = screen._draw

    def counted() -> None:
        draws.append(time.monotonic())
        draw()

    screen._draw = counted  # type: ignore[method-assign]
    tale = story.Story(screen)
    tale.begin(0)
    screen.start("")
    began = time.monotonic()
    costs = []
    while time.monotonic() < began + 0.7:
        before = time.perf_counter()
        tale.report(0, [0.5])
        costs.append(time.perf_counter() - before)
    screen.close()
    assert 2 <= len(draws) <= 6
    assert len(costs) > 100
    assert sorted(costs)[len(costs) // 2] < 0.0001


def test_it_is_not_the_shared_console_and_leaves_stdout_alone(story: ModuleType) -> None:
    from rich import get_console

    before = sys.stdout
    screen = _screen(story, io.StringIO())
    screen.start("x")
    shared: Console = get_console()
    assert screen._console is not shared
    assert sys.stdout is before
    screen.close()


def test_what_the_user_prints_goes_above_the_table(
    story: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stdout", stream)
    screen = _screen(story, stream)
    screen.start("heading")
    print("printed in a training step")
    screen.close()
    assert sys.stdout is stream
    lines = stream.getvalue().splitlines()
    printed = next(index for index, line in enumerate(lines) if "printed in a training step" in line)
    assert any("best: none so far" in line for line in lines[printed:])


@pytest.mark.parametrize("when", ["before", "while"])
def test_a_terminal_that_is_gone_costs_the_display_only(story: ModuleType, when: str) -> None:
    class Fragile(io.StringIO):
        broken = when == "before"

        def write(self, text: str) -> int:
            if self.broken:
                raise BrokenPipeError
            return super().write(text)

    stream = Fragile()
    screen = _screen(story, stream)
    screen.start("heading")
    stream.broken = True
    story.Story(screen).run(0, [0.5])
    screen.note("more")
    _wait(lambda: screen._gone)
    screen.close()
    assert screen._tally.ended == 1


def test_a_table_that_cannot_be_drawn_costs_a_warning(story: ModuleType) -> None:
    screen = _screen(story, io.StringIO())

    def bad() -> None:
        raise TypeError("no such cell")

    with pytest.warns(UserWarning, match=r"live table failed \(TypeError: no such cell\); the sweep goes on"):
        screen._attempt(bad)
    screen._attempt(bad)
    screen.note("nothing more is drawn")
    assert screen._stream.getvalue() == ""  # type: ignore[attr-defined]
