"""The one place where a sweep changes: it owns the searcher, the scheduler and the store.

Executors call `next_jobs`; the work they run calls `report`, `poll`, `saved`, `keeps` and `finish`.
Everything that happens is appended to the store as an event, folded into the history, and shown to the
listeners, in that order.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from lightning_tune.core.decision import CONTINUE, Decision, Done, Resume, Start, Stop, Wait, budget_reached
from lightning_tune.core.events import (
    CheckpointKind,
    Config,
    LegStarted,
    Origin,
    Reported,
    TrialEnded,
    TrialPaused,
    TrialStarted,
)
from lightning_tune.core.history import History
from lightning_tune.core.jsontext import metrics_to_text
from lightning_tune.core.outcome import Outcome
from lightning_tune.core.rng import generator, trial_seed
from lightning_tune.core.space import Space
from lightning_tune.core.trial import Trial
from lightning_tune.execute.base import Assignment, CheckpointRef, LegEnd, Retire, Task
from lightning_tune.loop.failures import FailurePolicy
from lightning_tune.loop.journal import Journal
from lightning_tune.loop.keeping import Keeper, newest_checkpoint
from lightning_tune.loop.limits import Limits
from lightning_tune.schedule.base import Scheduler
from lightning_tune.search.base import Searcher


@dataclass(kw_only=True)
class Coordinator:
    """Runs one sweep for any number of executors, from one thread at a time.

    Attributes:
        journal: the sweep's events: store, history, listeners.
        keeper: its checkpoints.
        space, search, schedule, limits, failures: what decides.
        seed: the sweep's seed.
        baselines: configurations to try first, in order.
        clock: seconds since the epoch; replaced in tests.
    """

    journal: Journal
    keeper: Keeper
    space: Space
    search: Searcher
    schedule: Scheduler
    limits: Limits
    failures: FailurePolicy
    seed: int = 0
    baselines: Sequence[Config] = ()
    clock: Callable[[], float] = time.time
    _handed_out: set[int] = field(default_factory=set)
    _interrupt: str | None = None

    @property
    def history(self) -> History:
        """All trials so far."""
        return self.journal.history

    def __post_init__(self) -> None:
        self._opened = self.clock()

    # -- what executors call

    def next_jobs(self, count: int) -> Sequence[Task] | Wait | Done:
        """Return up to `count` tasks.

        Legs that were cut short, missing repeats, then what the scheduler wants.
        """
        if self._interrupt is not None:
            return Done(reason=self._interrupt)
        self.journal.sync()
        elapsed = self.clock() - self._opened
        if self.limits.out_of_time(elapsed):
            return Done(reason=self.limits.reached(self.history, elapsed) or "out of time")
        tasks = self._requested_stops() or self._cut_short(count) or self._missing_members(count)
        return tasks if tasks else self._scheduled(count, elapsed)

    def report(
        self, trial: int, leg: int, step: float, values: Sequence[float], metrics: Mapping[str, float]
    ) -> Decision:
        """Record a report with the decision on it, in one transaction.

        A step that is known gets its old decision.
        """
        history = self.history
        if history.reported(trial, leg, step):
            known = history.decision(trial, leg, step)
            return CONTINUE if known is None else Decision(action=known.action, reason=known.reason)
        report = Reported(trial, leg, step, tuple(values), self.clock(), metrics_to_text(metrics))
        return self.journal.report(report, self._judge)

    def poll(self, trial: int) -> Decision:
        """Return what becomes of a trial at the end of an epoch, whether it reported or not."""
        if self._interrupt is not None:
            return Decision(action="pause", reason=self._interrupt)
        if self.limits.out_of_time(self.clock() - self._opened):
            return Decision(action="pause", reason="max_time is over")
        return CONTINUE

    def interrupt(self, reason: str) -> None:
        """Ask every running trial to pause at the end of its epoch, and hand out no more."""
        self._interrupt = reason

    @property
    def interrupted(self) -> bool:
        """Whether the sweep was interrupted."""
        return self._interrupt is not None

    def saved(self, trial: int, leg: int, step: float, kind: CheckpointKind, file: CheckpointRef) -> None:
        """Record a checkpoint that is in place, then delete the one it replaces."""
        self.keeper.saved(trial, leg, step, kind, file)

    def keeps(self, trial: int) -> bool:
        """Return whether a trial is now among the best `keep_checkpoints` of the sweep."""
        return self.keeper.keeps(trial)

    def finish(self, end: LegEnd) -> Outcome:
        """Record how a leg ended.

        Raises:
            SweepFailedError: too many trials have raised.
            MonitorError: the monitor was never logged, in a sweep that has no report at all.
        """
        self._handed_out.discard(end.trial)
        trial = self.history.trials[end.trial]
        if end.kind == "paused":
            self.journal.record(
                TrialPaused(
                    trial=end.trial, leg=end.leg, step=end.step, reason=end.reason, time=self.clock()
                ),
                durable=True,
            )
        elif end.kind != "interrupted":
            self._end(trial, end)
            self.failures.check(end, self.history)
        return outcome_of(trial)

    # -- choosing what to do

    def _requested_stops(self) -> list[Task]:
        """End the paused trials that a user asked to stop; running ones end at their next report."""
        asked = [trial for trial in self.history.resumable if trial.state == "paused" and trial.stop_request]
        return [self._stop(trial, trial.stop_request or "") for trial in asked]

    def _cut_short(self, count: int) -> list[Task]:
        """Take up the legs that an earlier call of `fit` (or a kill) left unfinished."""
        waiting = [trial for trial in self.history.unfinished_legs if trial.number not in self._handed_out]
        return [self._assign(trial) for trial in waiting[:count] if not self._settled(trial)]

    def _settled(self, trial: Trial) -> bool:
        """Record the pause of a trial that had saved for it, and was killed before it could say so."""
        saved = newest_checkpoint(trial)
        if saved is None:
            return False
        decided = self.history.decision(trial.number, trial.leg, saved.step)
        if decided is not None and decided.action == "pause":
            reason = decided.reason
        elif saved.step >= trial.budget:
            reason = budget_reached(trial.budget)
        else:
            return False
        paused = TrialPaused(
            trial=trial.number, leg=trial.leg, step=saved.step, reason=reason, time=self.clock()
        )
        self.journal.record(paused, durable=True)
        return True

    def _missing_members(self, count: int) -> list[Task]:
        """Bring every open group's members to the group's budget, starting those that do not exist yet."""
        if self.history.repeats == 1:
            return []
        tasks: list[Task] = []
        for group in self.history.open_groups:
            if group.state == "failed":
                continue
            budget = group.budget
            behind = [
                member for member in group.members if member.state == "paused" and member.budget < budget
            ]
            for member in behind[: count - len(tasks)]:
                tasks.append(self._begin_leg(member, budget))
            while len(group.members) < group.repeats and len(tasks) < count:
                tasks.append(
                    self._start(Start(budget=budget, config=group.config), "repeat", group=group.number)
                )
        return tasks

    def _scheduled(self, count: int, elapsed: float) -> Sequence[Task] | Wait | Done:
        tasks: list[Task] = []
        ended = self.limits.reached(self.history, elapsed)
        for job in self.schedule.next_jobs(self.history, count):
            match job:
                case Resume():
                    members = [
                        member for member in self.history.group(job.group).members if member.state != "failed"
                    ]
                    tasks.append(self._begin_leg(members[0], job.budget))
                case Stop():
                    tasks.extend(
                        self._stop(trial, job.reason) for trial in self.history.group(job.group).members
                    )
                case Start():
                    if ended is not None:
                        return tasks or self._ending(Done(reason=ended))
                    config = self._next_config(job)
                    if not isinstance(config, tuple):
                        return tasks or self._ending(config)
                    tasks.append(self._start(Start(budget=job.budget, config=config[0]), *config[1:]))
                    ended = self.limits.reached(self.history, elapsed)
                case Wait() | Done():
                    return tasks or self._ending(job)
        return tasks

    def _ending(self, answer: Wait | Done) -> Wait | Done:
        """A sweep is done only when nothing runs any more."""
        if isinstance(answer, Done) and self._handed_out:
            return Wait(reason=answer.reason)
        return answer

    def _next_config(self, job: Start) -> tuple[Config, Origin, int | None] | Wait | Done:
        """Return what to start: the scheduler's own, an enqueued one, a baseline, or the searcher's."""
        if job.config is not None:
            return job.config, "schedule", None
        for request in self.history.waiting_requests:
            return request.config, "enqueued", request.number
        tried = self.history.count("baseline")
        if tried < len(self.baselines):
            return self.baselines[tried], "baseline", tried
        number = self.history.num_groups
        suggestion = self.search.suggest(self.space, self.history, generator(self.seed, "search", number))
        return suggestion if isinstance(suggestion, Wait | Done) else (suggestion, "search", None)

    def _start(
        self, job: Start, origin: Origin, source: int | None = None, group: int | None = None
    ) -> Assignment:
        number = len(self.history)
        now = self.clock()
        started = TrialStarted(
            trial=number,
            group=number if group is None else group,
            config=dict(job.config or {}),
            seed=trial_seed(self.seed, number),
            space_version=max(self.history.spaces),
            origin=origin,
            source=source,
            parent=job.parent,
            time=now,
        )
        self.journal.record(
            started, LegStarted(trial=number, leg=0, budget=job.budget, time=now), durable=True
        )
        return self._assign(self.history.trials[number])

    def _begin_leg(self, trial: Trial, budget: float) -> Assignment:
        newest = newest_checkpoint(trial)
        self.journal.record(
            LegStarted(
                trial=trial.number,
                leg=trial.leg + 1,
                budget=budget,
                checkpoint=None if newest is None else newest.path,
                time=self.clock(),
            ),
            durable=True,
        )
        return self._assign(trial)

    def _assign(self, trial: Trial) -> Assignment:
        """Hand out a trial's newest leg, from its newest checkpoint that is still what was saved."""
        self._handed_out.add(trial.number)
        return Assignment(
            trial=trial.number,
            group=trial.group,
            leg=trial.leg,
            config=trial.config,
            seed=trial.seed,
            budget=trial.budget,
            checkpoint=newest_checkpoint(trial),
            trained=bool(trial.rows) or trial.leg > 0,
        )

    # -- judging and ending

    def _judge(self, report: Reported) -> Decision:
        trial = self.history.trials[report.trial]
        if not all(map(_is_finite, report.values)):
            return Decision(action="stop", reason=f"diverged: {self._named(report.values)}")
        if trial.stop_request is not None:
            return Decision(action="stop", reason=trial.stop_request)
        if self.limits.meets_target(self.history, self.history.group(trial.group).cost):
            value = self.history.objective.value(self.history.group(trial.group).cost)
            return Decision(action="stop", reason=f"target {self.limits.target:g} reached: {value:g}")
        return self.schedule.judge(report, self.history)

    def _named(self, values: Sequence[float]) -> str:
        return ", ".join(
            f"{name} is {value}" for name, value in zip(self.history.objective.monitor, values, strict=True)
        )

    def _end(self, trial: Trial, end: LegEnd) -> None:
        failed = end.kind not in ("completed", "stopped")
        ended = TrialEnded(
            trial=trial.number,
            leg=end.leg,
            step=end.step,
            state="failed" if failed else "completed" if end.kind == "completed" else "stopped",
            reason=end.reason,
            cause=end.kind if failed else "",
            error=end.error,
            time=self.clock(),
        )
        self.journal.record(ended, durable=True)
        self.keeper.drop()

    def _stop(self, trial: Trial, reason: str) -> Retire:
        end = LegEnd(trial=trial.number, leg=trial.leg, step=trial.step, kind="stopped", reason=reason)
        self._end(trial, end)
        return Retire(
            trial=trial.number,
            group=trial.group,
            leg=trial.leg,
            config=trial.config,
            seed=trial.seed,
            outcome=outcome_of(trial),
        )


def outcome_of(trial: Trial) -> Outcome:
    """Return how a trial stands, as a plain value."""
    return Outcome(
        state=trial.state,
        score=trial.score,
        step=trial.step,
        best_step=trial.best_step,
        reason=trial.reason,
        cause=trial.cause,
        error=trial.error,
    )


def _is_finite(value: float) -> bool:
    return value - value == 0.0
