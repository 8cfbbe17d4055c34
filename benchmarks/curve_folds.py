"""Networks for cross-validation: a third of the data sets is left out of each."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import torch
from recording import CACHE

import lightning_tune.curves
from lightning_tune.curves.fitting.tables import CurveTable
from lightning_tune.curves.fitting.training import fit
from lightning_tune.curves.network import Network, load, save

FOLDS = 3
USED_AFTERWARDS = ("bounds.py", "flat.py", "improvement.py", "joint.py", "posterior.py", "prediction.py")
"""Modules that do not matter to what is fitted."""


def networks(folder: Path, tables: Sequence[CurveTable]) -> list[Network]:
    """Return for each data set the network that was fitted without it and without every third other one.

    They are kept in the user's cache under a name that depends on the data and on the code that fits: two
    minutes each.
    """
    torch.set_num_threads(1)
    key = _key(folder)
    found = []
    for fold in range(min(FOLDS, len(tables))):
        path = CACHE / f"curves-{key}-{fold}.npz"
        if not path.exists():
            print(f"fitting without every third data set, from the {fold + 1}. on ...", flush=True)
            path.parent.mkdir(parents=True, exist_ok=True)
            save(fit([table.costs for place, table in enumerate(tables) if place % FOLDS != fold]), path)
        found.append(load(path))
    return [found[place % FOLDS] for place in range(len(tables))]


def _key(folder: Path) -> str:
    package = Path(lightning_tune.curves.__file__).parent
    digest = hashlib.sha256()
    for path in [*sorted(package.rglob("*.py")), *sorted(folder.glob("*.csv.gz"))]:
        if path.name not in USED_AFTERWARDS:
            digest.update(path.read_bytes())
    return digest.hexdigest()[:12]
