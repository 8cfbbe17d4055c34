import json
import sysconfig
import traceback
from pathlib import Path

import lightning_tune
from lightning_tune.track.frames import user_frame


def _bad() -> None:
    json.loads("{")


def test_the_users_line_and_not_the_librarys() -> None:
    try:
        _bad()
    except ValueError as error:
        text = "".join(traceback.format_exception(error))
    line = next(
        number
        for number, code in enumerate(Path(__file__).read_text().splitlines(), 1)
        if "json.loads" in code
    )
    assert user_frame(text) == f"test_frames.py:{line}"


def test_no_line_of_the_users() -> None:
    ours = Path(lightning_tune.__file__).parent / "loop" / "runner.py"
    files = [
        f"{sysconfig.get_path('purelib')}/torch/nn.py",
        "/x/dist-packages/a.py",
        "<frozen importlib>",
        str(ours),
    ]
    assert user_frame("".join(f'  File "{file}", line 3, in f\n' for file in files)) is None
    assert user_frame("") is None
