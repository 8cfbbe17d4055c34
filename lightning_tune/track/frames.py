"""The line of the user's own code at which a trial failed, read from the recorded traceback."""

import re
import sysconfig
from pathlib import Path, PurePath

_FRAME = re.compile(r'^\s*File "(?P<file>[^"\n]+)", line (?P<line>\d+)', re.MULTILINE)
_LIBRARIES = tuple(sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib"))
_OURS = str(Path(__file__).resolve().parents[1])


def user_frame(traceback: str) -> str | None:
    r"""Return "file.py:12" for the innermost frame outside of installed packages; None without one.

    Example:
        >>> user_frame('Traceback ...\n  File "/home/me/model.py", line 12, in forward\nValueError: bad')
        'model.py:12'
    """
    own = [match for match in _FRAME.finditer(traceback) if not _installed(match["file"])]
    return f"{PurePath(own[-1]['file']).name}:{own[-1]['line']}" if own else None


def _installed(file: str) -> bool:
    parts = PurePath(file).parts
    if "site-packages" in parts or "dist-packages" in parts or file.startswith("<"):
        return True
    return any(PurePath(file).is_relative_to(folder) for folder in (*_LIBRARIES, _OURS))
