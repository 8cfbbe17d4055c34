"""The executable picture of the system: every event of three trials, without and with rungs."""

import lightning.pytorch as pl

from lightning_tune import Float, TuneLoop
from lightning_tune.core.events import (
    CheckpointDeleted,
    CheckpointSaved,
    Decided,
    LegStarted,
    Reported,
    SessionOpened,
    SpaceDeclared,
    TrialEnded,
    TrialPaused,
    TrialStarted,
)
from lightning_tune.schedule import SuccessiveHalving
from lightning_tune.store import MemoryStore
from lightning_tune.testing.models import tiny_data, tiny_module


def test_a_three_trial_sweep_is_exactly_these_events(tmp_path):
    store = MemoryStore()
    loop = TuneLoop(
        {"lr": Float(1e-4, 1e-1, log=True)},
        monitor="val_loss",
        max_trials=3,
        baseline=[{"lr": 0.001}, {"lr": 0.05}, {"lr": 0.0001}],
        trainer={"max_epochs": 2, "accelerator": "cpu"},
        logger=False,
        store=store,
        root_dir=tmp_path,
        name="flow",
    )
    result = loop.fit(tiny_module(pl), datamodule=tiny_data(pl))
    events = list(store.read("flow"))
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    assert [_line(event) for event in events] == [
        "space 1: lr",
        "session 0",
        # the first trial is the best so far, so its weights and its last state are kept
        "trial 0: baseline {'lr': 0.001}",
        "leg 0 of trial 0 to 2",
        "trial 0 reports step 1",
        "trial 0 reports step 2",
        "saved trials/0/last-0-2.ckpt",
        "saved trials/0/best-0-2.ckpt",
        "trial 0 completed at 2: trained 2 epochs",
        # the second beats it: what is no longer the best is deleted
        "trial 1: baseline {'lr': 0.05}",
        "leg 0 of trial 1 to 2",
        "trial 1 reports step 1",
        "trial 1 reports step 2",
        "saved trials/1/last-0-2.ckpt",
        "saved trials/1/best-0-2.ckpt",
        "trial 1 completed at 2: trained 2 epochs",
        "deleted trials/0/last-0-2.ckpt",
        "deleted trials/0/best-0-2.ckpt",
        # the third does not, so nothing of it is written
        "trial 2: baseline {'lr': 0.0001}",
        "leg 0 of trial 2 to 2",
        "trial 2 reports step 1",
        "trial 2 reports step 2",
        "trial 2 completed at 2: trained 2 epochs",
    ]
    assert result.best.number == 1
    files = sorted(str(path.relative_to(tmp_path / "flow")) for path in (tmp_path / "flow").rglob("*.ckpt"))
    assert files == ["trials/1/best-0-2.ckpt", "trials/1/last-0-2.ckpt"]


def test_three_trials_under_halving_are_exactly_these_events(tmp_path):
    store = MemoryStore()
    TuneLoop(
        {"lr": Float(1e-4, 1e-1, log=True)},
        monitor="val_loss",
        schedule=SuccessiveHalving(num_trials=3, min_budget=1, eta=3),
        baseline=[{"lr": 0.001}, {"lr": 0.05}, {"lr": 0.0001}],
        trainer={"max_epochs": 2, "accelerator": "cpu"},
        logger=False,
        store=store,
        root_dir=tmp_path,
        name="flow",
    ).fit(tiny_module(pl), datamodule=tiny_data(pl))
    assert [_line(event) for event in store.read("flow", after=2)] == [
        # each trains to the first rung and waits there
        "trial 0: baseline {'lr': 0.001}",
        "leg 0 of trial 0 to 1",
        "trial 0 reports step 1",
        "saved trials/0/pause-0-1.ckpt",
        "trial 0 paused at 1: reached 1 epoch",
        "trial 1: baseline {'lr': 0.05}",
        "leg 0 of trial 1 to 1",
        "trial 1 reports step 1",
        "saved trials/1/pause-0-1.ckpt",
        "trial 1 paused at 1: reached 1 epoch",
        "trial 2: baseline {'lr': 0.0001}",
        "leg 0 of trial 2 to 1",
        "trial 2 reports step 1",
        "saved trials/2/pause-0-1.ckpt",
        "trial 2 paused at 1: reached 1 epoch",
        # the rung is full: who cannot go on ends there, and its checkpoint goes
        "trial 2 stopped at 1: rung at 1 epoch: 2nd of 3, the best goes on",
        "deleted trials/2/pause-0-1.ckpt",
        "trial 0 stopped at 1: rung at 1 epoch: 3rd of 3, the best goes on",
        "deleted trials/0/pause-0-1.ckpt",
        # the best trains on from its own
        "continue 1: rung at 1 epoch: 1st of 3, the best goes on",
        "leg 1 of trial 1 to 2",
        "trial 1 reports step 2",
        "saved trials/1/last-1-2.ckpt",
        "saved trials/1/best-1-2.ckpt",
        "trial 1 completed at 2: trained 2 epochs",
        "deleted trials/1/pause-0-1.ckpt",
    ]


def _line(event) -> str:
    match event:
        case SpaceDeclared():
            return f"space {event.version}: {', '.join(event.space)}"
        case SessionOpened():
            return f"session {event.session}"
        case TrialStarted():
            return f"trial {event.trial}: {event.origin} {event.config}"
        case LegStarted():
            return f"leg {event.leg} of trial {event.trial} to {event.budget:g}"
        case Reported():
            return f"trial {event.trial} reports step {event.step:g}"
        case CheckpointSaved():
            return f"saved {event.path}"
        case CheckpointDeleted():
            return f"deleted {event.path}"
        case Decided():
            return f"{event.action} {event.trial}: {event.reason}"
        case TrialPaused():
            return f"trial {event.trial} paused at {event.step:g}: {event.reason}"
        case TrialEnded():
            return f"trial {event.trial} {event.state} at {event.step:g}: {event.reason}"
    return repr(event)
