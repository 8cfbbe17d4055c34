"""Which trials of a sweep its schedule stopped, and the best score that the sweep had when it did.

Found by folding the sweep's events again, up to each decision: the history as the schedule saw it.
"""

from collections.abc import Iterable
from itertools import takewhile

from lightning_tune.core.events import Decided, Event, LegStarted, TrialEnded
from lightning_tune.core.history import History
from lightning_tune.core.trial import Trial
from lightning_tune.loop.audit import AuditRow
from lightning_tune.loop.limits import Limits


def stops_of(history: History, events: Iterable[Event], limits: Limits, full_budget: float) -> list[AuditRow]:
    """Return the stops of a sweep, by the numbers of their trials.

    Trials that are left paused at a rung are among them if the sweep has ended without promoting them (its
    target is reached, say): they were given up then. What was stopped for another reason is not: it reached
    the target itself, a user asked for it, or a repeat of it had failed.

    Args:
        history: all trials.
        events: the sweep's events, in the order of their sequence numbers; those that the history does not
            hold are left out.
        limits: what ends the sweep.
        full_budget: what a trial trains to that is never stopped.
    """
    past = History(history.objective, history.repeats, anew=history.anew)
    stops = _replayed(past, takewhile(lambda event: event.seq <= history.seq, events), limits)
    over = limits.over(past, 0.0, full_budget)
    if over is not None and not past.unfinished_legs:
        for trial in past.paused:
            if _by_schedule(trial, past, limits):
                stops[trial.number] = _stop(trial, past, f"{trial.reason}, and then: {over}")
    return [stops[trial] for trial in sorted(stops)]


def _replayed(past: History, events: Iterable[Event], limits: Limits) -> dict[int, AuditRow]:
    """Fold events into an empty history, and return each stop as it stood when it was decided."""
    stops: dict[int, AuditRow] = {}
    for event in events:
        past.extend([event])
        match event:
            case Decided(action="stop") | TrialEnded(state="stopped"):
                trial = past.trials[event.trial]
                if event.trial not in stops and _by_schedule(trial, past, limits):
                    stops[event.trial] = _stop(trial, past, event.reason)
            case LegStarted() | TrialEnded():  # it trains on, or came to another end before the stop
                stops.pop(event.trial, None)
    return stops


def _by_schedule(trial: Trial, past: History, limits: Limits) -> bool:
    """Whether nothing but the schedule can have stopped a trial."""
    group = past.group(trial.group)
    failed = any(member.state == "failed" for member in group.members)
    return trial.stop_request is None and not failed and not limits.meets_target(past, group.cost)


def _stop(trial: Trial, past: History, reason: str) -> AuditRow:
    best = past.best
    return AuditRow(
        trial=trial.number,
        step=trial.step,
        reason=reason,
        score=trial.score,
        target=None if best is None else best.score,
    )
