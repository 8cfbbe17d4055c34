import io
from types import ModuleType

import pytest
from rich.console import Console

from lightning_tune.core.budget import Budget
from lightning_tune.core.objective import Objective
from lightning_tune.track.foreseen import Foreseen
from lightning_tune.track.table import Board
from lightning_tune.track.tally import Tally


def _tell(story: ModuleType, tally: Tally) -> None:
    tale = story.Story(tally.update)
    tale.begin(0, config={"lr": 0.1, "name": "[/x][bold]\x1b[2Jüber\u202e"})
    tale.report(0, [0.5, 0.75, 0.8, 0.9])
    tale.save(0, 5_800_000, "a")
    tale.end(0, reason="trained 4 epochs")
    tale.begin(1)
    tale.report(1, [0.1])
    tale.end(1, state="failed", reason="ValueError: too wide (model.py:71)", error=story.ERROR)
    tale.begin(2, budget=float("inf"))
    tale.report(2, [0.2, float("nan")])


def _draw(story: ModuleType, width: int, *, ascii_only: bool = False, rows: int = 12) -> list[str]:
    tally = Tally(max_trials=10, clock=lambda: 1007.0)
    _tell(story, tally)
    board = Board(space=story.Space(), objective=story.OBJECTIVE, max_epochs=27, ascii_only=ascii_only)
    console = Console(file=io.StringIO(), width=width, markup=False, color_system=None)
    console.print(board.render(tally, width=width, rows=rows))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "\x1b" not in text
    return [line.rstrip() for line in text.splitlines()]


def test_everything_has_room_in_120_columns(story: ModuleType) -> None:
    header, *rows, best, progress = _draw(story, 120)
    assert header.split() == ["trial", "configuration", "epoch", "curve", "val_acc", "state"]
    assert [row.split("  ")[0 if row.startswith("  ★") else 1] is not None for row in rows] == [True] * 3
    assert "★ 0" in rows[0]
    assert "lr=0.1 name=[/x][bold][2Jüber" in rows[0]
    assert "4/4" in rows[0]
    assert "▁▆▇█" in rows[0]
    assert rows[0].endswith("0.9000  completed trained 4 epochs")
    assert rows[1].endswith("0.1000  failed model.py:71 ValueError: too wide")
    assert "2/27" in rows[2]
    assert "▅×" in rows[2]
    assert rows[2].endswith("0.2000  running")
    assert best == "best 0.9000 · trial 0 · lr=0.1 name=[/x][bold][2Jüber"
    assert progress.startswith("2/10 trials · 7 epochs · ")
    assert progress.endswith(" left · 5.8 MB checkpoints")


@pytest.mark.parametrize("width", [50, 60, 75, 76, 80, 109, 110, 200])
def test_no_line_is_too_long_and_no_row_takes_two(story: ModuleType, width: int) -> None:
    lines = _draw(story, width)
    assert all(len(line) <= width for line in lines)
    assert [line.split()[0] for line in lines[:5]] == ["trial", "★", "1", "2", "best"]


def test_a_narrow_terminal_keeps_state_and_failed_line(story: ModuleType) -> None:
    header, _, failed, *_ = _draw(story, 60)
    assert "curve" not in header
    assert failed.endswith("failed model.py:71")


def test_a_terminal_that_knows_only_ascii(story: ModuleType) -> None:
    lines = _draw(story, 120, ascii_only=True)
    assert all(line.isascii() for line in lines)
    assert "* 0" in lines[1]
    assert "?ber" in lines[1]


def test_fewer_rows_where_the_terminal_is_low(story: ModuleType) -> None:
    assert len(_draw(story, 120, rows=2)) == 2 + 3


def test_nothing_has_happened_yet(story: ModuleType) -> None:
    objective = Objective.of(["a", "b"], "min")
    board = Board(space=story.Space(), objective=objective, max_epochs=None)
    console = Console(file=io.StringIO(), width=80)
    console.print(board.render(Tally(max_trials=None), width=80, rows=12))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "a, b" in text
    assert "best: none so far" in text
    assert "0 trials · 0 epochs" in text


def test_the_column_of_steps_is_named_after_what_is_spent(story: ModuleType) -> None:
    budget = Budget(grows="data")
    tally = Tally(max_trials=10, clock=lambda: 1007.0, budget=budget)
    tale = story.Story(tally.update)
    tale.begin(0, budget=0.25)
    tale.tell(story.Reported(trial=0, leg=0, step=0.125, values=(0.5,), time=tale.time))
    board = Board(space=story.Space(), objective=story.OBJECTIVE, max_epochs=27, budget=budget)
    console = Console(file=io.StringIO(), width=120, markup=False, color_system=None)
    console.print(board.render(tally, width=120, rows=5))
    header, row, _, progress = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert header.split()[2] == "data"
    assert "12.5%/25%" in row
    assert "0.125 full trainings" in progress


@pytest.mark.parametrize("width", [60, 80, 120])
def test_several_objectives_share_a_column_and_the_front_has_stars(story: ModuleType, width: int) -> None:
    tally = Tally(max_trials=10)
    tale = story.Story(tally.update, objective=story.SEVERAL)
    for trial, values in enumerate([(0.25, 9.0), (0.5, 3.0), (0.75, 5.0)]):
        tale.run(trial, [values])
    board = Board(space=story.Space(), objective=story.SEVERAL, max_epochs=4)
    console = Console(file=io.StringIO(), width=width, markup=False, color_system=None)
    console.print(board.render(tally, width=width, rows=12))
    header, *rows, best, _ = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert "val_loss, size" in header
    assert [row.split()[0] for row in rows] == ["★", "★", "2"]
    assert "0.5000, 3.0000" in rows[1]
    assert best.startswith("front of 2 · best compromise 0.2500, 9.0000 · trial 0 · lr=")


def test_a_callable_score_of_several_monitors_is_a_score(story: ModuleType) -> None:
    objective = Objective.of(["val_loss", "size"], score=sum)
    tally = Tally(max_trials=10)
    story.Story(tally.update, objective=objective).run(0, [(0.25, 9.0)])
    board = Board(space=story.Space(), objective=objective, max_epochs=4)
    console = Console(file=io.StringIO(), width=120, markup=False, color_system=None)
    console.print(board.render(tally, width=120, rows=12))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert text.split()[4] == "score"
    assert "9.2500" in text


@pytest.mark.parametrize(("width", "shown"), [(80, False), (120, True)])
def test_a_running_trial_shows_where_its_curve_leads(story: ModuleType, width: int, shown: bool) -> None:
    """Where there is room; of those that have ended nothing is foreseen."""
    tally = Tally(max_trials=10, clock=lambda: 1007.0)
    _tell(story, tally)
    board = Board(
        space=story.Space(),
        objective=story.OBJECTIVE,
        max_epochs=27,
        foresees=lambda trial: (
            Foreseen(low=0.81, middle=0.9, high=0.95) if trial.state == "running" else None
        ),
    )
    console = Console(file=io.StringIO(), width=width, markup=False, color_system=None)
    console.print(board.render(tally, width=width, rows=12))
    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert [line for line in lines if "→" in line] == [line for line in lines if shown and "running" in line]
    assert any("running → 0.900 [0.810, 0.950]" in line for line in lines) == shown, lines
