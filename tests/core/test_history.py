"""The history against brute force: folding events, ranking, what is unfinished."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lightning_tune.core.events import (
    CheckpointDeleted,
    CheckpointSaved,
    ConfigEnqueued,
    Decided,
    LegStarted,
    Reported,
    SpaceDeclared,
    StopRequested,
    TrialEnded,
    TrialPaused,
    TrialStarted,
)
from lightning_tune.core.history import History, config_key
from lightning_tune.core.objective import Objective


def numbered(*events):
    """Give events the sequence numbers that a store would give them."""
    numbered = []
    for seq, event in enumerate(events, 1):
        if isinstance(event, Reported):
            numbered.append(event._replace(seq=seq))
        else:
            fields = {name: getattr(event, name) for name in event.__slots__}
            numbered.append(type(event)(**{**fields, "seq": seq}))
    return numbered


def started(trial, group=None, config=None, origin="search", **rest):
    return TrialStarted(
        trial=trial,
        group=trial if group is None else group,
        config=config or {"x": trial},
        seed=trial,
        space_version=1,
        origin=origin,
        time=float(trial),
        **rest,
    )


def leg(trial, number=0, budget=3.0):
    return LegStarted(trial=trial, leg=number, budget=budget, time=0.0)


def report(trial, step, value, leg=0):
    return Reported(trial, leg, float(step), (value,), 0.0, '{"loss": "NaN"}')


def ended(trial, state="completed", step=3.0, leg=0):
    return TrialEnded(trial=trial, leg=leg, step=step, state=state, reason="why", time=9.0)


def saved(trial, kind, path):
    return CheckpointSaved(trial=trial, leg=0, step=1.0, kind=kind, path=path, size=1, sha256="", time=0.0)


def history_of(*events, mode="min", score="best", repeats=1):
    history = History(Objective.of("loss", mode, score), repeats)
    history.extend(numbered(*events))
    return history


def test_a_trial_goes_from_waiting_to_completed():
    events = numbered(started(0), leg(0), report(0, 1, 0.5), report(0, 2, 0.25), ended(0))
    history = History(Objective.of("loss"))
    states = []
    for event in events:
        history.extend([event])
        states.append(history.trials[0].state)
    assert states == ["waiting", "running", "running", "running", "completed"]
    trial = history.trials[0]
    assert (trial.score, trial.best_step, trial.step, trial.reason) == (0.25, 2.0, 3.0, "why")
    assert [entry.value for entry in trial.reports] == [0.5, 0.25]
    assert math.isnan(trial.metrics["loss"])
    steps, values = trial.curve()
    assert steps.tolist() == [1.0, 2.0]
    assert values.tolist() == [0.5, 0.25]


def test_events_that_were_folded_are_not_folded_twice():
    events = numbered(started(0), leg(0), report(0, 1, 0.5))
    history = History(Objective.of("loss"))
    history.extend(events)
    history.extend(events)
    assert len(history) == 1
    assert history.num_reports == 1


def test_score_last_follows_the_last_report():
    history = history_of(started(0), leg(0), report(0, 1, 0.2), report(0, 2, 0.7), score="last")
    assert history.best.score == 0.7


def test_nan_and_infinity_never_win():
    history = history_of(
        started(0),
        leg(0),
        report(0, 1, math.nan),
        started(1),
        leg(1),
        report(1, 1, -math.inf),
        report(1, 2, 5.0),
    )
    assert history.best.number == 1
    assert history.best.score == 5.0
    assert history.trials[0].score is None


def test_a_failed_trial_is_never_the_best():
    history = history_of(
        started(0), leg(0), report(0, 1, 0.1), started(1), leg(1), report(1, 1, 0.9), ended(0, "failed")
    )
    assert history.best.number == 1
    assert history.trials[0].score == 0.1


def test_ties_go_to_the_lower_number():
    history = history_of(started(0), leg(0), report(0, 1, 0.5), started(1), leg(1), report(1, 1, 0.5))
    assert [trial.number for trial in history.leaders(2)] == [0, 1]


def test_repeats_are_ranked_by_their_mean_once_all_are_there():
    history = history_of(
        started(0, group=0),
        leg(0),
        report(0, 1, 0.1),
        started(1, group=0, config={"x": 0}, origin="repeat"),
        leg(1),
        started(2, group=2),
        leg(2),
        report(2, 1, 0.3),
        started(3, group=2, config={"x": 2}, origin="repeat"),
        leg(3),
        report(3, 1, 0.5),
        repeats=2,
    )
    assert history.best_group.number == 2  # group 0 has one finite score of two
    assert history.best_group.cost == pytest.approx(0.4)
    assert history.best_group.stderr == pytest.approx(0.1)  # |0.3 - 0.5| / 2, by hand
    history.extend([report(1, 1, 0.2)._replace(seq=100)])
    assert history.best_group.number == 0
    assert history.best.number == 0
    assert [trial.number for trial in history.leaders(2)] == [0, 2]


def test_incomplete_groups_are_contenders_by_their_best_member_so_far():
    history = history_of(
        started(0, group=0), leg(0), report(0, 1, 0.5), ended(0),
        started(1, group=0, config={"x": 0}), leg(1), report(1, 1, 0.1), ended(1),
        started(2, group=0, config={"x": 0}), leg(2),
        started(3, group=3), leg(3),
        repeats=3,
    )  # fmt: skip
    assert history.leaders(1) == []
    assert [trial.number for trial in history.contenders()] == [1]
    assert history_of(started(0), leg(0), report(0, 1, 0.5)).contenders() == []


def test_a_group_state_is_its_members_common_state():
    history = history_of(started(0, group=0), leg(0), ended(0), repeats=2)
    group = history.group(0)
    assert group.state == "running"  # one repeat is missing
    history.extend(numbered(*[started(0)] * 5, started(1, group=0), leg(1), ended(1))[5:])
    assert group.state == "completed"
    assert history.open_groups == []


def test_unfinished_legs_are_those_cut_short():
    history = history_of(
        started(0), leg(0), report(0, 1, 1.0),
        started(1), leg(1), TrialPaused(trial=1, leg=0, step=1.0, reason="Ctrl-C", time=0.0),
        started(2), leg(2), TrialPaused(trial=2, leg=0, step=3.0, reason="rung", time=0.0),
        started(3), leg(3), report(3, 1, 1.0),
        Decided(trial=3, leg=0, step=1.0, action="pause", reason="rung 1", time=0.0),
        TrialPaused(trial=3, leg=0, step=1.0, reason="rung 1", time=0.0),
        started(4), leg(4), ended(4),
    )  # fmt: skip
    assert [trial.number for trial in history.unfinished_legs] == [0, 1]
    assert history.decision(3, 0, 1.0).reason == "rung 1"
    assert history.decision(0, 0, 1.0) is None


def test_checkpoints_come_and_go():
    history = history_of(started(0), leg(0), saved(0, "pause", "a"), saved(0, "best", "b"))
    assert [trial.number for trial in history.resumable] == [0]
    history.extend([CheckpointDeleted(trial=0, path="a", time=0.0, seq=50)])
    assert history.resumable == []
    assert [trial.number for trial in history.with_checkpoints] == [0]
    history.extend([CheckpointDeleted(trial=0, path="b", time=0.0, seq=51)])
    assert history.with_checkpoints == []


def test_a_step_is_reported_once_whichever_leg_trains_it():
    events = started(0), leg(0), report(0, 1, 1.0), report(0, 2, 1.0), leg(0, 1), report(0, 3, 1.0, leg=1)
    history = history_of(*events)
    assert history.reported(0, 0, 2.0)
    assert history.reported(0, 1, 1.0)  # its checkpoint was damaged, and it trains from nothing again
    assert history.reported(0, 1, 3.0)
    assert not history.reported(0, 1, 2.5)
    assert not history.reported(0, 1, 4.0)


def test_where_each_leg_trains_anew_a_step_is_a_legs_own_and_so_is_the_score():
    history = History(Objective.of("loss"), anew=True)
    events = started(0), leg(0), report(0, 1, 1.0), report(0, 2, 1.5), leg(0, 1), report(0, 1, 3.0, leg=1)
    history.extend(numbered(*events))
    assert history.reported(0, 0, 2.0)
    assert history.reported(0, 1, 1.0)
    assert not history.reported(0, 1, 2.0)
    assert history.trials[0].score == 3.0


def test_requests_wait_until_a_trial_takes_them():
    history = history_of(
        SpaceDeclared(version=1, space={}, time=0.0),
        ConfigEnqueued(number=0, config={"x": 7}, time=0.0),
        ConfigEnqueued(number=1, config={"x": 8}, time=0.0),
        started(0, config={"x": 7}, origin="enqueued", source=0),
        StopRequested(trial=0, reason="too slow", time=0.0),
    )
    assert [request.number for request in history.waiting_requests] == [1]
    assert history.count("enqueued") == 1
    assert history.trials[0].stop_request == "too slow"


def test_configurations_are_found_by_value_and_type():
    history = history_of(started(0, config={"a": 1, "b": 2}), leg(0))
    assert history.find({"b": 2, "a": 1}).number == 0
    assert history.find({"a": 1.0, "b": 2}) is None
    assert config_key({"a": True}) != config_key({"a": 1})


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 7), st.floats(-5, 5) | st.sampled_from([math.nan, math.inf]), st.booleans()),
        max_size=60,
    ),
    st.sampled_from(["min", "max"]),
    st.sampled_from(["best", "last"]),
)
def test_best_and_leaders_equal_a_scan_of_everything(reports, mode, score):
    """Whatever is reported in whatever order, asked after each event, the ranking is that of a full sort."""
    sign = 1 if mode == "min" else -1
    history = History(Objective.of("loss", mode, score))
    history.extend(numbered(*[event for trial in range(8) for event in (started(trial), leg(trial))]))
    costs, failed, seq = {}, set(), 100
    for step, (trial, value, fails) in enumerate(reports):
        if trial in failed:
            continue
        seq += 1
        history.extend([Reported(trial, 0, float(step), (value,), 0.0, "{}", seq)])
        cost = sign * value if math.isfinite(value) else math.inf
        costs[trial] = cost if score == "last" else min(cost, costs.get(trial, math.inf))
        if fails:
            seq += 1
            failed.add(trial)
            history.extend(
                [TrialEnded(trial=trial, leg=0, step=step, state="failed", reason="", time=0.0, seq=seq)]
            )
        order = sorted((c, t) for t, c in costs.items() if math.isfinite(c) and t not in failed)
        assert [leader.number for leader in history.leaders(3)] == [t for _, t in order[:3]]
        assert (history.best.number if history.best else None) == (order[0][1] if order else None)


def test_where_legs_train_anew_a_score_of_a_larger_budget_comes_first():
    history = History(Objective.of("loss"), anew=True)
    events = [started(0), leg(0, budget=0.5), report(0, 0.5, 1.0), started(1), leg(1, budget=0.5)]
    events += [report(1, 0.5, 2.0), leg(1, 1, 1.0), report(1, 0.25, 5.0, leg=1)]
    history.extend(numbered(*events))
    assert [trial.number for trial in history.leaders(2)] == [1, 0]
    assert history.best.score == 5.0


COSTS = st.tuples(*[st.sampled_from([0.0, 1.0, 2.0, 4.0, math.nan])] * 2)


def several_of(*events, repeats=1, anew=False):
    history = History(Objective.of(["loss", "acc"], ["min", "max"]), repeats, anew=anew)
    history.extend(numbered(*events))
    return history


def reports(trial, step, values, leg=0):
    return Reported(trial, leg, float(step), values, 0.0, "{}")


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 6), COSTS, st.booleans()), max_size=30))
def test_the_front_equals_a_scan_of_everything(told):
    """The last finite report of each trial counts, unless the trial failed."""
    events = [event for trial in range(7) for event in (started(trial), leg(trial))]
    last, failed = {}, set()
    for step, (trial, values, fails) in enumerate(told):
        if trial in failed:
            continue
        events.append(reports(trial, step + 1, values))
        if all(map(math.isfinite, values)):
            last[trial] = values
        if fails:
            failed.add(trial)
            events.append(ended(trial, "failed"))
    history = several_of(*events)
    costs = {t: (loss, -acc) for t, (loss, acc) in last.items() if t not in failed}
    front = [
        t
        for t, own in costs.items()
        if not any(a <= own[0] and b <= own[1] and (a, b) != own for a, b in costs.values())
    ]
    assert [group.number for group in history.front] == sorted(front, key=lambda t: (costs[t], t))
    assert {trial.number for trial in history.leaders(len(front))} == set(front)
    assert (history.best is None) == (not front)
    assert history.best is None or history.best.number in front


def test_the_best_of_several_objectives_is_the_compromise():
    events = [started(0), started(1), started(2), started(3)]
    values = [(0.0, 0.0), (2.0, 9.0), (10.0, 10.0), (3.0, 8.0)]
    history = several_of(*events, *[reports(t, 1, own) for t, own in enumerate(values)])
    assert history.best.number == 1
    assert [group.number for group in history.front] == [0, 1, 2]
    assert [[group.number for group in front] for front in history.fronts(history.groups)] == [[0, 2, 1], [3]]
    rest = history.groups[1:]
    assert [[group.number for group in front] for front in history.fronts(rest)] == [[1, 2], [3]]


def test_with_one_objective_the_front_is_whoever_shares_the_best_score():
    history = history_of(
        *[event for trial in range(3) for event in (started(trial), leg(trial))],
        report(0, 1, 2.0), report(1, 1, 1.0), report(2, 1, 1.0),
    )  # fmt: skip
    assert [group.number for group in history.front] == [1, 2]


def test_where_legs_train_anew_the_front_is_that_of_the_largest_budget():
    history = several_of(
        started(0), leg(0, budget=0.5), reports(0, 0.5, (0.0, 1.0)),
        started(1), leg(1, budget=0.5), reports(1, 0.5, (1.0, 0.0)),
        leg(1, 1, 1.0), reports(1, 1.0, (5.0, 0.0), leg=1),
        anew=True,
    )  # fmt: skip
    assert [group.number for group in history.front] == [1]
    assert [trial.number for trial in history.leaders(2)] == [1, 0]


def test_repeats_are_on_the_front_once_all_are_there():
    history = several_of(
        started(0, group=0), leg(0), reports(0, 1, (1.0, 0.5)),
        started(1, group=1), leg(1), reports(1, 1, (2.0, 0.25)),
        started(2, group=1, config={"x": 1}), leg(2), reports(2, 1, (4.0, 0.75)),
        repeats=2,
    )  # fmt: skip
    assert [group.number for group in history.front] == [1]
    assert history.front[0].costs == (3.0, -0.5)
    assert [trial.number for trial in history.contenders()] == [0, 1]
