"""Which checkpoints a sweep keeps: those it needs to train on, and those of its best trials."""

import time
from dataclasses import dataclass

from lightning_tune.core.events import CheckpointDeleted, CheckpointKind, CheckpointSaved
from lightning_tune.core.trial import ENDED, Trial
from lightning_tune.execute.base import CheckpointRef
from lightning_tune.loop.files import SweepFiles
from lightning_tune.loop.journal import Journal


@dataclass(kw_only=True)
class Keeper:
    """Records checkpoint files and deletes those that are no longer wanted.

    A deletion is recorded before the file goes; a file goes when the one that replaces it is in place.

    Attributes:
        journal: the sweep's events.
        files: the sweep's folder.
        keep: how many of the best trials keep their best weights and their last state once they have ended.
            With several objectives these are trials of the best fronts, and the whole of the first at least:
            every trial of the result's front has its weights, unless none at all are kept (0).
    """

    journal: Journal
    files: SweepFiles
    keep: int

    def saved(self, trial: int, leg: int, step: float, kind: CheckpointKind, file: CheckpointRef) -> None:
        """Record a checkpoint that is in place, then delete the one it replaces."""
        old = self.journal.history.trials[trial].checkpoints.get(kind)
        event = CheckpointSaved(
            trial=trial,
            leg=leg,
            step=step,
            kind=kind,
            path=file.path,
            size=file.size,
            sha256=file.sha256,
            time=time.time(),
        )
        replaces = old is not None and old.path != file.path
        self.journal.record(event, durable=replaces)  # on the disk before the file goes that it replaces
        if replaces and old is not None:
            self._delete(old)

    def keeps(self, trial: int) -> bool:
        """Return whether a trial is now among the best of the sweep."""
        return trial in self._kept(trial)

    def outdate(self, trial: Trial) -> None:
        """Delete what a trial no longer needs whose leg is over, where the next one trains anew.

        That is the state to go on from, and the best weights of earlier legs.
        """
        for saved in list(trial.checkpoints.values()):
            if saved.kind == "pause" or saved.leg < trial.leg:
                self._delete(saved)

    def lend(self, parent: int, child: int) -> CheckpointSaved | None:
        """Copy a trial's newest checkpoint for one that starts from it; return it as its own, to record.

        None where the parent has none.
        """
        newest = newest_checkpoint(self.journal.history.trials[parent])
        if newest is None:
            return None
        path = f"trials/{child}/pause-lent-{parent}-{newest.step:g}.ckpt"
        if not self.files.copy(newest.path, path):
            return None
        return CheckpointSaved(
            trial=child,
            leg=0,
            step=newest.step,
            kind="pause",
            path=path,
            size=newest.size,
            sha256=newest.sha256,
            time=time.time(),
        )

    def tidy(self) -> None:
        """Finish what a killed process had begun to delete."""
        self.drop()
        trials = self.journal.history.with_checkpoints
        self.files.remove_leftovers({saved.path for trial in trials for saved in trial.checkpoints.values()})

    def drop(self) -> None:
        """Delete what ended trials no longer need.

        One of the best that was stopped while it was paused keeps that checkpoint: its weights are in it.
        """
        kept = self._kept()
        for trial in self.journal.history.with_checkpoints:
            for saved in list(trial.checkpoints.values()) if trial.state in ENDED else []:
                if trial.number not in kept or (saved.kind == "pause" and len(trial.checkpoints) > 1):
                    self._delete(saved)

    def _kept(self, ending: int | None = None) -> set[int]:
        """The best trials, and with repeats those that may become so when their siblings have ended.

        Args:
            ending: a trial that is about to end.
        """
        history = self.journal.history
        if not self.keep:
            return set()
        leading = history.leaders(self.keep) if history.objective.scalar else self._leading(ending)
        return {trial.number for trial in [*leading, *history.contenders()]}

    def _leading(self, ending: int | None) -> list[Trial]:
        """The trials of the first front, and of the next ones as far as there is room.

        Among those that have ended: one that trains on may lose, by its last report, what it has now, and is
        to displace nobody before.
        """
        history = self.journal.history
        own = None if ending is None else history.trials[ending].group
        fronts = history.fronts(group for group in history.groups if group.ended or group.number == own)
        wanted = next(fronts, [])
        while len(wanted) < self.keep and (front := next(fronts, [])):
            wanted = [*wanted, *front[: self.keep - len(wanted)]]
        return [group.best_member for group in wanted]

    def _delete(self, saved: CheckpointSaved) -> None:
        self.journal.record(CheckpointDeleted(trial=saved.trial, path=saved.path, time=time.time()))
        self.files.remove(saved.path)


def newest_checkpoint(trial: Trial, *, anew: bool = False) -> CheckpointRef | None:
    """Return the checkpoint that a trial trains on from, if it has one.

    With `anew`, where each leg trains from nothing, only one of its newest leg is.

    The last state of the leg that is being run was saved by a fit that had ended and was killed before it
    could say so. Training on from there could go past that end (an early stop), so the leg is run again.
    """
    kept = [saved for kind in ("pause", "last") if (saved := trial.checkpoints.get(kind)) is not None]
    over = trial.ended is not None
    kept = [saved for saved in kept if saved.kind == "pause" or saved.leg < trial.leg or over]
    kept = [saved for saved in kept if saved.leg == trial.leg or not anew]
    newest = max(kept, key=lambda saved: saved.step, default=None)
    return None if newest is None else ref_of(newest)


def ref_of(saved: CheckpointSaved) -> CheckpointRef:
    """Return what must be known of a checkpoint file to believe it."""
    return CheckpointRef(path=saved.path, step=saved.step, size=saved.size, sha256=saved.sha256)
