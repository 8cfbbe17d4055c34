from hypothesis import given
from hypothesis import strategies as st

from lightning_tune.core.rung import Rung, Share
from lightning_tune.core.trial import Group

COSTS = st.lists(st.sampled_from([0.0, 1.0, 2.5, float("inf")]), max_size=30)


class Fake(Group):
    """A group whose budget and end are told."""

    budget = 1.0
    ended = False


def _costs(cost):
    return None if cost == float("inf") else (cost,)


def filled(costs, share=None):
    rung = Rung(1.0, share, lambda group, level: _costs(costs[group.number]))
    for number in range(len(costs)):
        rung.enter(Fake(number, 1, number))
    return rung


@given(COSTS)
def test_it_is_sorted_by_cost_then_number(costs):
    rung = filled(costs)
    expected = sorted((cost, number) for number, cost in enumerate(costs))
    assert rung.ranked == rung.waiting == expected
    assert [rung.place(number) for _, number in expected] == list(range(len(costs)))


@given(COSTS)
def test_the_median_is_that_of_the_finite_costs(costs):
    finite = sorted(cost for cost in costs if cost != float("inf"))
    middle = (finite[(len(finite) - 1) // 2] + finite[len(finite) // 2]) / 2 if finite else float("inf")
    assert filled(costs).median == middle


@given(COSTS, st.data())
def test_those_that_go_on_wait_no_more_but_keep_their_place(costs, data):
    rung = filled(costs)
    gone = data.draw(st.sets(st.integers(0, 40)))
    for number in gone:
        rung.go_on(number)
    assert rung.ranked == filled(costs).ranked
    assert [number for _, number in rung.waiting] == [n for _, n in rung.ranked if n not in gone]
    assert rung.beyond == len(gone & set(range(len(costs))))


def test_a_cost_that_changes_moves_its_group():
    costs = [1.0, 2.0, 3.0]
    rung = filled(costs)
    costs[0] = float("inf")
    rung.enter(Fake(0, 1, 0))
    assert rung.ranked == [(2.0, 1), (3.0, 2), (float("inf"), 0)]
    assert len(rung) == 3


def test_with_several_objectives_it_holds_costs_and_puts_nobody_before_others_but_those_without():
    costs = [(2.0, 1.0), None, (1.0, 1.0)]
    rung = Rung(1.0, None, lambda group, level: costs[group.number])
    for number in range(3):
        rung.enter(Fake(number, 1, number))
    assert rung.ranked == rung.waiting == [(0.0, 0), (0.0, 2), (float("inf"), 1)]
    assert [rung.costs(number) for number in range(3)] == costs
    costs[0] = None
    rung.enter(Fake(0, 1, 0))
    assert rung.ranked == rung.waiting == [(0.0, 2), (float("inf"), 0), (float("inf"), 1)]
    rung.leave(2)
    assert [number for _, number in rung.waiting] == [0, 1]


def test_a_share_takes_its_places_alone():
    rung = filled([0.0] * 7, Share((0, 1, 0), 1))
    assert [number for _, number in rung.ranked] == [1, 4]
