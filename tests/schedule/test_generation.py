import math

import pytest

from lightning_tune.core.events import LegStarted, Reported, TrialEnded, TrialPaused, TrialStarted
from lightning_tune.core.history import History
from lightning_tune.core.objective import Objective
from lightning_tune.schedule.generation import Generation

LEVELS = (2.0, 4.0, 6.0)


class Tale:
    """A history told trial by trial."""

    def __init__(self, objective=None):
        self.history = History(objective or Objective.of("value", "max"))

    def tell(self, kind, *args, **given):
        self.history.extend([kind(*args, **given, time=0.0, seq=self.history.seq + 1)])
        return self

    def start(self, budget, parent=None):
        number = len(self.history)
        self.tell(
            TrialStarted,
            trial=number,
            group=number,
            config={},
            seed=number,
            space_version=1,
            origin="search",
            parent=parent,
        )
        return self.tell(LegStarted, trial=number, leg=0, budget=budget)

    def report(self, trial, *steps_and_values):
        for step, value in steps_and_values:
            values = value if isinstance(value, tuple) else (value,)
            self.tell(Reported, trial, self.history.trials[trial].leg, step, values)
        return self

    def pause(self, trial, step):
        return self.tell(
            TrialPaused, trial=trial, leg=self.history.trials[trial].leg, step=step, reason="budget"
        )

    def resume(self, trial, budget):
        return self.tell(LegStarted, trial=trial, leg=self.history.trials[trial].leg + 1, budget=budget)

    def end(self, trial, step, state):
        leg = self.history.trials[trial].leg
        return self.tell(TrialEnded, trial=trial, leg=leg, step=step, state=state, reason="told so")

    def generation(self, level, levels=LEVELS):
        return Generation(self.history, level, levels)


def numbers(trials):
    return [trial.number for trial in trials]


def test_the_newest_report_counts_and_not_the_best():
    tale = Tale().start(2.0).report(0, (1.0, 0.9), (2.0, 0.1)).pause(0, 2.0)
    tale.start(2.0).report(1, (1.0, 0.3), (2.0, 0.5)).pause(1, 2.0)
    assert numbers(tale.generation(2.0).ranked) == [1, 0]


def test_standings_do_not_change_when_some_have_gone_on_or_failed_later():
    tale = Tale()
    for number, value in enumerate([0.9, 0.5, 0.7]):
        tale.start(2.0).report(number, (2.0, value)).pause(number, 2.0)
    before = tale.generation(2.0)
    assert before.complete
    assert (numbers(before.ranked), numbers(before.waiting), before.next) == ([0, 2, 1], [0, 2, 1], 4.0)
    tale.resume(0, 4.0).report(0, (3.0, 0.0)).end(0, 3.0, "failed").end(1, 2.0, "stopped").start(
        4.0, parent=2
    )
    after = tale.generation(2.0)
    assert after.complete
    assert (numbers(after.ranked), numbers(after.waiting), after.next) == ([0, 2, 1], [2], 4.0)
    assert after.copies() == 1
    assert after.place(tale.history.trials[1]) == "3rd of 3"


def test_one_that_failed_on_its_way_stands_last():
    tale = Tale().start(2.0).report(0, (1.0, 0.9)).end(0, 1.0, "failed")
    tale.start(2.0).report(1, (2.0, 0.1)).pause(1, 2.0)
    generation = tale.generation(2.0)
    assert numbers(generation.ranked) == [1, 0]
    assert generation.standing(tale.history.trials[0]) is None


def test_it_is_not_complete_while_somebody_trains_or_was_cut_short():
    tale = Tale().start(2.0).report(0, (2.0, 0.5)).pause(0, 2.0).start(2.0).report(1, (1.0, 0.5))
    assert not tale.generation(2.0).complete
    tale.pause(1, 1.0)  # an interrupt: the leg is still to be finished
    assert not tale.generation(2.0).complete
    assert tale.report(1, (2.0, 0.5)).pause(1, 2.0).generation(2.0).complete


def test_a_copy_without_reports_stands_where_its_parent_stood():
    tale = Tale().start(2.0).report(0, (2.0, 0.5)).pause(0, 2.0).start(4.0, parent=0).pause(1, 4.0)
    tale.resume(0, 4.0).report(0, (4.0, 0.9)).pause(0, 4.0)
    generation = tale.generation(4.0)
    assert [generation.standing(trial) for trial in generation.trials] == [(-0.9,), (-0.5,)]
    assert tale.start(4.0).pause(2, 4.0).generation(4.0).standing(tale.history.trials[2]) is None


@pytest.mark.parametrize(("step", "following"), [(2.0, 4.0), (3.5, 4.0), (4.0, 6.0), (5.0, 6.0)])
def test_a_level_that_somebody_has_passed_is_left_out(step, following):
    tale = (
        Tale().start(2.0).report(0, (2.0, 0.5)).pause(0, 2.0).start(2.0).report(1, (step, 0.5)).pause(1, step)
    )
    assert tale.generation(2.0).next == following


def test_one_that_has_passed_the_last_level_does_not_go_on():
    tale = (
        Tale().start(2.0).report(0, (2.0, 0.5)).pause(0, 2.0).start(2.0).report(1, (6.0, 0.5)).pause(1, 6.0)
    )
    generation = tale.generation(2.0)
    assert (numbers(generation.waiting), generation.next) == ([0], 6.0)


def test_several_objectives_are_ranked_by_domination_then_by_crowding():
    tale = Tale(Objective.of(["loss", "acc"], ["min", "max"]))
    values = [(3.0, 0.5), (1.0, 0.25), (2.0, 0.5), (9.0, 0.75), (1.0, math.nan)]
    for trial, own in enumerate(values):
        tale.start(2.0).report(trial, (1.0, (0.0, 1.0)), (2.0, own)).pause(trial, 2.0)
    tale.start(2.0).end(5, 0.0, "failed")
    generation = tale.generation(2.0)
    assert numbers(generation.ranked) == [1, 3, 2, 0, 4, 5]
    assert generation.standing(tale.history.trials[0]) == (3.0, -0.5)
    assert generation.standing(tale.history.trials[4]) is None
    assert generation.standing(tale.history.trials[5]) is None
