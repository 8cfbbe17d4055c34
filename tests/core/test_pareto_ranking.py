from hypothesis import given
from hypothesis import strategies as st

from lightning_tune.core.pareto import nearest_ideal
from lightning_tune.core.pareto_ranking import ParetoRanking, sorted_fronts

COSTS = st.none() | st.tuples(*[st.sampled_from([0.0, 1.0, 2.0, 4.0])] * 2)
STANDINGS = st.tuples(st.sampled_from([-3.0, 0.0]), COSTS)


def dominates(first, second):
    return all(a <= b for a, b in zip(first, second, strict=True)) and first != second


def peeled(standings):
    """Fronts by the definition, as sets: the larger budget first, and front after front taken away."""
    found = []
    for level in sorted({level for level, _ in standings.values()}):
        left = {n: costs for n, (at, costs) in standings.items() if at == level and costs is not None}
        while left:
            front = {n for n in left if not any(dominates(other, left[n]) for other in left.values())}
            found.append(front)
            left = {n: costs for n, costs in left.items() if n not in front}
    return found


@given(st.lists(st.tuples(st.integers(0, 20), STANDINGS, st.booleans()), max_size=60))
def test_whatever_changes_the_fronts_are_those_of_everything(changes):
    standings = {}
    ranking = ParetoRanking(standings.__getitem__)
    for number, standing, ask in changes:
        standings[number] = standing
        ranking.change(number)
        if ask:
            assert [set(front) for front in ranking.fronts()] == peeled(standings)
    wanted = peeled(standings)
    assert [set(front) for front in ranking.fronts()] == wanted
    assert ranking.front == (sorted(wanted[0]) if wanted else [])
    assert ranking.numbers(5) == [number for front in ranking.fronts() for number in front][:5]


@given(st.dictionaries(st.integers(0, 9), STANDINGS))
def test_the_best_is_the_compromise_of_the_front(standings):
    ranking = ParetoRanking(standings.__getitem__)
    for number in standings:
        ranking.change(number)
    front = ranking.front
    place = nearest_ideal([standings[number][1] for number in front])
    assert ranking.best == (None if place is None else front[place])


def test_many_fronts_are_told_apart_and_few_can_be_asked_for():
    chain = {number: (0.0, (float(number), float(number))) for number in range(20)}
    assert list(sorted_fronts(chain)) == [[number] for number in range(20)]
    ranking = ParetoRanking(chain.__getitem__)
    for number in chain:
        ranking.change(number)
    first = ranking.fronts()
    assert next(first) == [0]
    assert ranking.numbers(7) == list(range(7))
    assert [front for [front] in first] == list(range(1, 20))


def test_in_a_front_the_ends_come_first_then_the_less_crowded():
    line = {number: (0.0, (x, -x)) for number, x in enumerate([0.0, 0.1, 0.3, 0.9, 1.0])}
    assert list(sorted_fronts(line)) == [
        [0, 4, 2, 3, 1]
    ]  # 0.8 and 0.7 to the neighbours' far sides, then 0.3


def test_what_changes_to_none_is_left_out():
    standings = {0: (0.0, (1.0, 1.0)), 1: (0.0, (2.0, 2.0))}
    ranking = ParetoRanking(standings.__getitem__)
    for number in standings:
        ranking.change(number)
    assert list(ranking.fronts()) == [[0], [1]]
    standings[0] = (0.0, None)
    ranking.change(0)
    assert (list(ranking.fronts()), ranking.best) == ([[1]], 1)
