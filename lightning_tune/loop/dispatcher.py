"""What to do next: legs cut short, repeats that are missing, then what scheduler and searcher want."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from lightning_tune.core.budget import EPOCHS, Budget
from lightning_tune.core.decision import Done, Resume, Start, Stop, Wait
from lightning_tune.core.events import (
    Config,
    Decided,
    LegStarted,
    Origin,
    TrialEnded,
    TrialPaused,
    TrialStarted,
)
from lightning_tune.core.history import History
from lightning_tune.core.outcome import Outcome
from lightning_tune.core.rng import generator, trial_seed
from lightning_tune.core.space import Space
from lightning_tune.core.trial import Trial
from lightning_tune.execute.base import Assignment, CheckpointRef, LegEnd, Retire, Task
from lightning_tune.loop.journal import Journal
from lightning_tune.loop.keeping import Keeper, newest_checkpoint
from lightning_tune.loop.limits import Limits
from lightning_tune.schedule.base import Scheduler
from lightning_tune.search.base import Searcher


@dataclass(kw_only=True)
class Dispatcher:
    """Turns what searcher and scheduler decide into tasks, each recorded before it is handed out.

    Attributes:
        journal: the sweep's events.
        keeper: its checkpoints.
        space, search, schedule, limits: what decides.
        seed: the sweep's seed.
        budget: what trials spend.
        baselines: configurations to try first, in order.
        clock: seconds since the epoch; replaced in tests.
        handed_out: the trials that a worker is training now.
    """

    journal: Journal
    keeper: Keeper
    space: Space
    search: Searcher
    schedule: Scheduler
    limits: Limits
    seed: int = 0
    budget: Budget = EPOCHS
    baselines: Sequence[Config] = ()
    clock: Callable[[], float] = time.time
    handed_out: set[int] = field(default_factory=set)

    @property
    def history(self) -> History:
        """All trials so far."""
        return self.journal.history

    def tasks(self, count: int, elapsed_s: float) -> Sequence[Task] | Wait | Done:
        """Return up to `count` tasks, or why there are none."""
        tasks = self._hopeless() or self._cut_short(count) or self._missing_members(count)
        return tasks if tasks else self._scheduled(count, elapsed_s)

    def end(self, trial: Trial, end: LegEnd) -> None:
        """Record that a trial will not train on, and drop what nobody needs any more."""
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

    def pause(self, trial: Trial, step: float, reason: str) -> None:
        """Record that a trial has paused."""
        paused = TrialPaused(trial=trial.number, leg=trial.leg, step=step, reason=reason, time=self.clock())
        self.journal.record(paused)  # a power cut may take it: the checkpoint says the same (`_settled`)
        if self.history.anew and step >= trial.budget:
            self.keeper.outdate(trial)

    def stop(self, trial: Trial, reason: str) -> Retire:
        """End a paused trial; its loggers are told by whoever takes the task."""
        self.end(
            trial, LegEnd(trial=trial.number, leg=trial.leg, step=trial.step, kind="stopped", reason=reason)
        )
        return Retire(
            trial=trial.number,
            group=trial.group,
            leg=trial.leg,
            config=trial.config,
            seed=trial.seed,
            outcome=outcome_of(trial),
        )

    def _hopeless(self) -> list[Task]:
        """End the paused trials that a user asked to stop, and those of which a repeat has failed.

        Running ones end at their next report.
        """
        tasks: list[Task] = []
        for trial in self.history.paused:
            group = self.history.group(trial.group)
            failed = next((member for member in group.members if member.state == "failed"), None)
            if trial.stop_request is not None:
                tasks.append(self.stop(trial, trial.stop_request))
            elif failed is not None:
                tasks.append(self.stop(trial, f"its repeat, trial {failed.number}, failed"))
        return tasks

    def _cut_short(self, count: int) -> list[Task]:
        """Take up the legs that an earlier call of `fit` (or a kill) left unfinished."""
        waiting = [trial for trial in self.history.unfinished_legs if trial.number not in self.handed_out]
        unsettled = [trial for trial in waiting if not self._settled(trial)]
        return [self._taken_up(trial) for trial in unsettled[:count]]

    def _settled(self, trial: Trial) -> bool:
        """Record the pause of a trial that had saved for it, and was killed before it could say so."""
        saved = self._newest(trial)
        if saved is None:
            return False
        decided = self.history.decision(trial.number, trial.leg, saved.step)
        if decided is not None and decided.action == "pause":
            reason = decided.reason
        elif saved.step >= trial.budget:
            reason = f"reached {self.budget.amount(trial.budget)}"
        else:
            return False
        self.pause(trial, saved.step, reason)
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
                member
                for member in group.members
                if member.budget < budget and self._may_go_on(member, budget)
            ]
            for member in behind[: count - len(tasks)]:
                tasks.append(self._begin_leg(member, budget))
            while len(group.members) < group.repeats and len(tasks) < count:
                tasks.append(
                    self._start(Start(budget=budget, config=group.config), "repeat", group=group.number)
                )
        return tasks

    def _scheduled(
        self, count: int, elapsed_s: float, out: Done | None = None
    ) -> Sequence[Task] | Wait | Done:
        """Do what the scheduler wants; `out` tells why no configuration may be started any more."""
        over = self.limits.over(self.history, elapsed_s, self.schedule.full_budget)
        if over is not None:
            return self._ending(Done(reason=over))
        out = out or self._full()
        tasks: list[Task] = []
        for job in self.schedule.next_jobs(self.history, count, 0 if out else self.limits.more(self.history)):
            match job:
                case Resume():
                    tasks.extend(self._resumed(job))
                case Stop():
                    tasks.extend(self._stopped(job))
                case Start() if out is None:
                    config = self._next_config(job)
                    if isinstance(config, Done):
                        return tasks or self._scheduled(count, elapsed_s, config)
                    if isinstance(config, Wait):
                        return tasks or config
                    tasks.append(self._start(replace(job, config=config[0]), *config[1:]))
                    out = self._full()
                case Wait():
                    return tasks or job
                case Done():
                    return tasks or self._ending(out or job)
                case Start():
                    break
        if out is not None:
            return tasks or self._ending(out)
        return tasks or self._ending(Wait(reason="the scheduler asks for nothing that can be done"))

    def _full(self) -> Done | None:
        """Return that `max_trials` configurations have been started, if they have."""
        if self.limits.more(self.history) > 0:
            return None
        return Done(reason=f"{self.limits.max_trials} trials")

    def _stopped(self, job: Stop) -> list[Task]:
        """End the members of a group that are paused."""
        members = self.history.group(job.group).members
        return [self.stop(member, job.reason) for member in members if member.state == "paused"]

    def _resumed(self, job: Resume) -> list[Task]:
        """Begin the next leg of a group with the first of its members that is below the budget."""
        for member in self.history.group(job.group).members:
            if self._may_go_on(member, job.budget):
                if job.reason:
                    self._note(member, job.reason)
                return [self._begin_leg(member, job.budget)]
        return []

    def _may_go_on(self, trial: Trial, budget: float) -> bool:
        """Whether a trial is below a budget and would train on to it.

        One that completed does only where nothing but a larger budget makes it: at a rung it has had its say.
        """
        if trial.state == "paused":  # it may be there already: one epoch can go past several rungs
            return trial.step < budget or trial.budget < budget
        had_all = trial.state == "completed" and trial.step >= trial.budget and not self.schedule.pauses
        return had_all and trial.budget < budget and trial.resumable

    def _note(self, trial: Trial, reason: str) -> None:
        """Record why a paused trial goes on."""
        self.journal.record(
            Decided(
                trial=trial.number,
                leg=trial.leg,
                step=trial.step,
                action="continue",
                reason=reason,
                time=self.clock(),
            )
        )

    def _ending(self, answer: Wait | Done) -> Wait | Done:
        """A sweep is done only when nothing runs any more."""
        if isinstance(answer, Done) and self.handed_out:
            return Wait(reason=answer.reason)
        return answer

    def _next_config(self, job: Start) -> tuple[Config, Origin, int | None] | Wait | Done:
        """Return what to start: the scheduler's own, an enqueued one, a baseline, or the searcher's."""
        if job.config is not None:
            return job.config, "schedule", None
        for request in self.history.waiting_requests:
            return request.config, "enqueued", request.number
        for place, baseline in enumerate(self.baselines):
            if self.history.find(baseline) is None:
                return baseline, "baseline", place
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
        lent = None if job.parent is None else self.keeper.lend(job.parent, number)
        leg = LegStarted(
            trial=number, leg=0, budget=job.budget, checkpoint=None if lent is None else lent.path, time=now
        )
        self.journal.record(started, *([] if lent is None else [lent]), leg, durable=True)
        return self._assign(self.history.trials[number])

    def _taken_up(self, trial: Trial) -> Assignment:
        """Hand out a leg that was cut short; that one which had paused trains again is an event."""
        if trial.state == "paused":
            newest = self._newest(trial)
            path = None if newest is None else newest.path
            again = LegStarted(
                trial=trial.number, leg=trial.leg, budget=trial.budget, checkpoint=path, time=self.clock()
            )
            self.journal.record(again, durable=True)
        return self._assign(trial)

    def _begin_leg(self, trial: Trial, budget: float) -> Assignment:
        newest = None if self.history.anew else self._newest(trial)
        self.journal.record(
            LegStarted(
                trial=trial.number,
                leg=trial.leg + 1,
                budget=budget,
                checkpoint=None if newest is None else newest.path,
                time=self.clock(),
            )
        )
        return self._assign(trial)

    def _assign(self, trial: Trial) -> Assignment:
        """Hand out a trial's newest leg, from its newest checkpoint that is still what was saved."""
        self.handed_out.add(trial.number)
        newest = self._newest(trial)
        lent = trial.legs[0].checkpoint
        return Assignment(
            trial=trial.number,
            group=trial.group,
            leg=trial.leg,
            config=trial.config,
            seed=trial.seed,
            budget=trial.budget,
            checkpoint=newest,
            trained=bool(trial.rows) or trial.leg > 0,
            final=trial.budget >= self.schedule.full_budget,
            full_budget=self.schedule.full_budget,
            inherited=newest is not None and newest.path == lent,
        )

    def _newest(self, trial: Trial) -> CheckpointRef | None:
        return newest_checkpoint(trial, anew=self.history.anew)


def outcome_of(trial: Trial) -> Outcome:
    """Return how a trial stands, as a plain value."""
    return Outcome(
        state=trial.state,
        score=trial.score,
        scores=trial.named_scores,
        step=trial.step,
        best_step=trial.best_step,
        reason=trial.reason,
        cause=trial.cause,
        error=trial.error,
    )
