"""Epochs saved and scores reached when a sweep over handwritten digits looks at its learning curves.

    python benchmarks/curves_digits.py           # four minutes; writes results/curves_digits.csv
    python benchmarks/curves_digits.py --quick   # one seed, without the audit: a minute; writes nothing

The same 40 random configurations of an MLP, to 27 epochs each: all to the end; under `CurveStopping`; and
each with `CurveExtrapolationStopping` among its Trainer's callbacks, which ends a run that will not reach a
validation loss of 0.05. Then an audit: 30 trials that `CurveStopping` stopped are trained again, to the end.

Two claims, and an exit status that tells when one does not hold: `CurveStopping` saves at least 40% of the
epochs, and the interval of the rate of wrong stops reaches down to the promised threshold.
"""

import argparse
import os
import tempfile
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch  # noqa: E402
from digits import Data, Digits, quiet, trainer_arguments  # noqa: E402
from recording import RESULTS, environment, print_table, write_csv  # noqa: E402
from sweepers import SPACE  # noqa: E402

from lightning_tune import CurveExtrapolationStopping, CurveStopping, Result, TuneLoop  # noqa: E402

TRIALS, EPOCHS, SEEDS = 40, 27, 2
AUDITED = 30
TARGET = 0.05
"""The loss that a run must be able to reach, for the callback."""
LEAST_SAVED = 0.4
PACKAGES = ("lightning-tuneloop", "torch", "lightning", "scikit-learn")
Row = dict[str, Any]


def sweep(folder: Path, seed: int, schedule: Any, callbacks: list[Any]) -> Result:
    """Return what a sweep found."""
    return TuneLoop(
        SPACE,
        monitor="val_loss",
        search="random",
        schedule=schedule,
        max_trials=TRIALS,
        seed=seed,
        trainer=trainer_arguments(EPOCHS) | {"callbacks": callbacks},
        logger=False,
        root_dir=folder,
    ).fit(Digits, datamodule=Data())


def row(kind: str, seed: int, result: Result) -> Row:
    """Return what a sweep cost and found."""
    trials, best = result.trials, result.best
    assert best is not None
    assert best.score is not None
    epochs = sum(trial.epochs for trial in trials)
    return {
        "sweep": kind,
        "seed": seed,
        "trials": len(trials),
        "epochs": epochs,
        "saved": round(1.0 - epochs / (TRIALS * EPOCHS), 3),
        "best_val_loss": float(f"{best.score:.5g}"),
        "val_acc_of_best": float(f"{best.metrics['val_acc']:.4g}"),
    }


def main() -> None:
    """Run the sweeps and the audit, print the tables, write the CSV; fail if a claim does not hold."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="one seed, no audit; writes nothing")
    args = parser.parse_args()
    torch.set_num_threads(1)
    quiet()
    os.environ["LIGHTNING_TUNE_SCREEN"] = "none"
    rows, faults = [], []
    with tempfile.TemporaryDirectory() as place:
        for seed in range(1 if args.quick else SEEDS):
            folder = Path(place) / str(seed)
            rows.append(row("to the end", seed, sweep(folder / "whole", seed, None, [])))
            stopped = sweep(folder / "stopped", seed, CurveStopping(), [])
            rows.append(row("CurveStopping", seed, stopped))
            own = [CurveExtrapolationStopping("val_loss", mode="min", target=TARGET)]
            rows.append(row("CurveExtrapolationStopping", seed, sweep(folder / "own", seed, None, own)))
            if seed == 0 and not args.quick:
                audit = stopped.audit(AUDITED, Digits, Data())
                print(f"{audit}\n")
                if audit.interval[0] > CurveStopping().threshold:
                    faults.append(f"more wrong stops than promised: {audit.sentence}")
    print_table(list(rows[0]), [[str(cell) for cell in each.values()] for each in rows])
    saved = [each["saved"] for each in rows if each["sweep"] == "CurveStopping"]
    if min(saved) < LEAST_SAVED:
        faults.append(f"CurveStopping saves {min(saved):.0%} of the epochs")
    if not args.quick:
        where = environment(PACKAGES)
        write_csv(RESULTS / "curves_digits.csv", [{**each, **where} for each in rows])
    if faults:
        raise SystemExit("does not hold:\n" + "\n".join(faults))


if __name__ == "__main__":
    main()
