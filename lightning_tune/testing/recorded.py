"""A small recorded sweep for tests of what reads one: four trials in four states, and awkward texts."""

import math

from lightning_tune.core.events import (
    JSON,
    CheckpointSaved,
    Config,
    Event,
    LegStarted,
    Reported,
    SessionOpened,
    SpaceDeclared,
    TrialEnded,
    TrialStarted,
)
from lightning_tune.store import Store

SPEC: dict[str, JSON] = {
    "format": 1,
    "monitor": ["val_acc"],
    "mode": ["max"],
    "score": "best",
    "search": {"name": "RandomSearch"},
    "schedule": {"name": "FullBudget"},
    "seed": 0,
    "repeats": 1,
}
BEGUN = 1_700_000_000.0
TRACEBACK = (
    'Traceback (most recent call last):\n  File "model.py", line 7, in forward\nValueError: \x1b[31mtoo wide'
)


def record_example(store: Store, name: str = "digits") -> None:
    """Record it: trial 0 completed (0.75, then 0.5), 1 stopped (0.875), 2 failed, 3 is still running."""
    configs: list[Config] = [
        {"lr": 0.00314159, "net": "cnn"},
        {"lr": 0.1, "net": "=1+1", "momentum": 0.9},
        {"lr": 1e-05, "net": "m\x1b[2Jlp"},
        {"lr": 0.5, "net": "mlp"},
    ]
    store.create(name, SPEC, BEGUN)
    store.append(name, [SpaceDeclared(version=1, space={}, time=BEGUN)])
    store.append(name, [SessionOpened(session=0, provenance={}, time=BEGUN)])
    for number, config in enumerate(configs):
        store.append(name, [*_begin(number, config), *_body(number)])


def _begin(number: int, config: Config) -> list[Event]:
    time = BEGUN + 10 * number
    return [
        TrialStarted(
            trial=number,
            group=number,
            config=config,
            seed=100 + number,
            space_version=1,
            origin="search",
            time=time,
        ),
        LegStarted(trial=number, leg=0, budget=2.0, time=time),
    ]


def _body(number: int) -> list[Event]:
    time = BEGUN + 10 * number
    if number == 0:
        saved = CheckpointSaved(
            trial=0, leg=0, step=1.0, kind="best", path="trials/0/best.ckpt", size=1234, sha256="0", time=time
        )
        metrics = ('{"val_acc": 0.75, "val_loss": 1.5}', '{"val_acc": 0.5, "val_loss": "NaN"}')
        return [
            _report(0, 1.0, 0.75, metrics[0]),
            _report(0, 2.0, 0.5, metrics[1]),
            saved,
            TrialEnded(trial=0, leg=0, step=2.0, state="completed", reason="trained 2 epochs", time=time + 5),
        ]
    if number == 1:
        end = TrialEnded(trial=1, leg=0, step=1.0, state="stopped", reason="3rd of 3", time=time + 2)
        return [_report(1, 1.0, 0.875, '{"val_acc": 0.875}'), end]
    if number == 2:
        end = TrialEnded(
            trial=2,
            leg=0,
            step=1.0,
            state="failed",
            reason="raised ValueError",
            cause="exception",
            error=TRACEBACK,
            time=time + 1,
        )
        return [_report(2, 1.0, math.nan, "{}"), end]
    return [_report(3, 1.0, 0.25, '{"val_acc": 0.25}')]


def _report(trial: int, step: float, value: float, metrics: str) -> Reported:
    return Reported(
        trial=trial, leg=0, step=step, values=(value,), time=BEGUN + 10 * trial + step, metrics=metrics
    )
