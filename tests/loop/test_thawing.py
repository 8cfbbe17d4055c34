import math

import numpy as np
import pytest

from lightning_tune.core.events import LegStarted, Reported, TrialEnded, TrialPaused, TrialStarted
from lightning_tune.core.history import History
from lightning_tune.core.objective import Objective
from lightning_tune.core.rng import generator
from lightning_tune.core.space import Choice, Float, Space
from lightning_tune.loop.thawing import MOST_KNOWN, look, relevant
from lightning_tune.schedule.curves_of import Curves
from lightning_tune.schedule.prospects import alone, prospects
from lightning_tune.search.gp.layout import layout_of

SPACE = Space({"x": Float(0.0, 1.0), "y": Float(0.0, 1.0)})
FULL = 10.0


def history_of(*trials, constraint=None, mode="min"):
    """Return a history of trials, each (config, curve, state)."""
    history, seq = History(Objective.of("value", mode), constraint=constraint), iter(range(1, 10**6))
    for number, (config, curve, state) in enumerate(trials):
        fresh = {"config": config, "seed": number, "space_version": 1, "origin": "search", "time": 0.0}
        events = [
            TrialStarted(trial=number, group=number, seq=next(seq), **fresh),
            LegStarted(trial=number, leg=0, budget=float(max(len(curve), 1)), time=0.0, seq=next(seq)),
        ]
        for place, value in enumerate(curve):
            events.append(Reported(number, 0, place + 1.0, (value,), 0.0, seq=next(seq)))
        at = {"trial": number, "leg": 0, "step": float(len(curve)), "reason": "", "time": 0.0}
        if state == "paused":
            events.append(TrialPaused(**at, seq=next(seq)))
        elif state != "running":
            events.append(TrialEnded(**at, state=state, seq=next(seq)))
        history.extend(events)
    return history


def falling(end, length, rate=1.0):
    return [end + step**-rate for step in range(1, length + 1)]


def at(x, y=0.5):
    return {"x": x, "y": y}


def some_trials():
    return [
        (at(0.1), falling(0.3, 10), "completed"),
        (at(0.2, 0.9), falling(0.2, 6), "paused"),
        (at(0.5, 0.1), falling(0.6, 3), "paused"),
        (at(0.7), falling(0.8, 4), "stopped"),
        (at(0.9, 0.3), falling(0.7, 2), "paused"),
        (at(0.4, 0.4), [], "running"),
    ]


def seen(history, space=SPACE, seed=0):
    return look(history, layout_of(space), full=FULL, rng=generator(seed, "test"))


def test_paused_trials_and_new_ones_have_what_the_joint_prediction_promises():
    outlook = seen(history_of(*some_trials()))
    trials = some_trials()
    costs = np.full((len(trials), 10), np.nan)
    for row, (_, curve, _) in enumerate(trials):
        costs[row, : len(curve)] = curve
    new = outlook.points[:5]
    costs = np.concatenate([costs, np.full((5, 10), np.nan)])
    places = np.concatenate([np.array([[config["x"], config["y"]] for config, _, _ in trials]), new])
    spent = np.array([*(len(curve) for _, curve, _ in trials), *[0.0] * 5])
    best = min(min(curve) for _, curve, _ in trials if curve)
    wanted = prospects(Curves(costs=costs, spacing=1.0), places, spent, FULL, best)
    assert {each.group.number: each.worth for each in outlook.paused} == pytest.approx(
        {number: wanted.worth[number] for number in (1, 2, 4)}
    )
    assert {each.group.number: each.chance for each in outlook.paused} == pytest.approx(
        {number: wanted.chance[number] for number in (1, 2, 4)}
    )
    assert outlook.worth[:5] == pytest.approx(wanted.worth[6:])
    worths = [each.worth for each in outlook.paused]
    assert worths == sorted(worths, reverse=True)
    assert outlook.crowd.tolist() == [[0.4, 0.4]]


def test_the_same_history_and_generator_give_the_same_view():
    first, second = (list(seen(history_of(*some_trials())).newcomers())[:4] for _ in range(2))
    assert first == second
    assert first != list(seen(history_of(*some_trials()), seed=1).newcomers())[:4]


def test_newcomers_are_admissible_and_keep_away_from_one_another_and_from_what_has_just_begun():
    trials = [(at(x / 9, 0.5), falling(abs(x / 9 - 0.5), 10), "completed") for x in range(10)]
    alone = seen(history_of(*trials, constraint=lambda config: config["y"] < 0.7))
    taken = [config for _, config in alone.newcomers()][:4]
    assert all(config["y"] < 0.7 for config in taken)
    apart = min(
        math.dist(tuple(a.values()), tuple(b.values())) for i, a in enumerate(taken) for b in taken[:i]
    )
    assert apart > 0.05
    promises = [promise for promise, _ in alone.newcomers()]
    assert promises[0] == max(promises)
    trials.append((taken[0], [], "running"))
    besides = next(config for _, config in seen(history_of(*trials)).newcomers())
    assert math.dist(tuple(besides.values()), tuple(taken[0].values())) > 0.05


def test_a_region_where_trials_fail_promises_less():
    """The other trials would let one expect the best values there."""
    good = [(at(x / 10), falling(1.0 - x / 10, 10), "completed") for x in range(6)]
    failing = [(at(0.9, y / 4), [0.5], "failed") for y in range(5)]
    places = [seen(history_of(*trials)) for trials in (good, good + failing)]
    best = [next(config for _, config in outlook.newcomers()) for outlook in places]
    assert best[0]["x"] > 0.65
    near = [float(outlook.worth[np.abs(outlook.points[:, 0] - 0.9) < 0.1].mean()) for outlook in places]
    assert near[1] < 0.5 * near[0]


def test_what_a_finite_space_has_left_is_offered_once():
    space = Space({"a": Choice(["u", "v", "w"]), "b": Choice([1, 2])})
    tried = [("u", 1), ("v", 1), ("w", 2), ("u", 2)]
    trials = [({"a": a, "b": b}, falling(0.1 * b, 10), "completed") for a, b in tried]
    offered = [config for _, config in seen(history_of(*trials), space).newcomers()]
    assert sorted((config["a"], config["b"]) for config in offered) == [("v", 2), ("w", 1)]


def test_of_many_that_have_ended_the_best_and_the_newest_are_modelled():
    states = ["completed"] * 300 + ["paused"] * 20
    history = history_of(*((at(n / 400), [n % 97 + 1.0], state) for n, state in enumerate(states)))
    kept = relevant(history.groups)
    assert len(kept) == MOST_KNOWN
    assert kept == sorted(kept)
    assert set(range(300, 320)) <= set(kept)
    by_cost = sorted(range(300), key=lambda n: (n % 97, n))
    assert set(by_cost[:90]) <= set(kept)
    others = [n for n in kept if n < 300 and n not in by_cost[:90]]
    assert others == [n for n in range(300) if n not in by_cost[:90]][-90:]
    assert relevant(history.groups[:50]) == list(range(50))


def test_higher_is_better_is_turned_round():
    trials = [(config, [-value for value in curve], state) for config, curve, state in some_trials()]
    mirrored, plain = seen(history_of(*trials, mode="max")), seen(history_of(*some_trials()))
    assert [each.group.number for each in mirrored.paused] == [each.group.number for each in plain.paused]
    assert mirrored.worth == pytest.approx(plain.worth)


def test_a_paused_trial_has_its_predicted_end():
    outlook = seen(history_of(*some_trials()))
    best = min(min(curve) for _, curve, _ in some_trials() if curve)
    for each in outlook.paused:
        assert each.end.prob_better(best).tolist() == pytest.approx([each.chance])


def test_limits_are_those_of_every_end():
    plain = seen(history_of(*some_trials()))
    layout, rng = layout_of(SPACE), generator(0, "test")
    bounded = look(history_of(*some_trials()), layout, full=FULL, rng=rng, limits=(0.25, 0.9))
    free, within = (
        sorted(outlook.paused, key=lambda each: each.group.number) for outlook in (plain, bounded)
    )
    assert min(float(each.end.quantile(0.01)[0]) for each in free) < 0.25
    for each in within:
        assert 0.25 <= each.end.quantile(0.01)[0] < each.end.quantile(0.99)[0] <= 0.9
    best = 1.0 * 6**-1.0 + 0.2  # of the second trial, at its sixth epoch
    most = (best - 0.25) / np.array([FULL - each.group.members[0].step for each in within])
    assert (np.array([each.worth for each in within]) <= most).all()


def test_a_view_is_the_same_to_the_last_bit_whatever_is_remembered(monkeypatch):
    alone.cache_clear()
    views = [seen(history_of(*some_trials())) for _ in range(2)]
    monkeypatch.setattr("lightning_tune.schedule.prospects.alone", alone.__wrapped__)
    views.append(seen(history_of(*some_trials())))
    for other in views[1:]:
        assert (views[0].worth == other.worth).all()
        assert [(each.group.number, each.worth, each.chance) for each in views[0].paused] == [
            (each.group.number, each.worth, each.chance) for each in other.paused
        ]
