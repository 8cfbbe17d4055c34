"""Print the lowest versions that pyproject.toml promises, as pins for pip.

Run `python scripts/lowest.py pyproject.toml`.

torch keeps the version of constraints.txt: its older builds would download gigabytes of GPU libraries.
"""

import re
import sys
import tomllib
from pathlib import Path

FIXED = {"torch": "torch==2.13.0"}
_REQUIREMENT = re.compile(r"(?P<name>[A-Za-z0-9._-]+)(?:\[[^]]*\])?>=(?P<floor>[^,;\s]+)")


def floors(project: dict[str, object]) -> dict[str, str]:
    """Return the floor of every requirement of `[project]`, extras included, by name.

    Raises:
        ValueError: a requirement that has no floor.
    """
    own = f"{project['name']}["
    extras = project["optional-dependencies"]
    lists = [project["dependencies"], *(extras.values() if isinstance(extras, dict) else ())]
    found: dict[str, str] = {}
    for requirement in (line for lines in lists if isinstance(lines, list) for line in lines):
        if requirement.startswith(own):
            continue
        match = _REQUIREMENT.match(requirement)
        if match is None:
            raise ValueError(f"{requirement!r} promises no lowest version: write it as name>=version.")
        found[match["name"]] = match["floor"]
    return found


def main() -> None:
    """Print one pin a line."""
    project = tomllib.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))["project"]
    for name, floor in floors(project).items():
        print(FIXED.get(name, f"{name}=={floor}"))


if __name__ == "__main__":
    main()
