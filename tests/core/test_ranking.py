import math

from hypothesis import given
from hypothesis import strategies as st

from lightning_tune.core.ranking import Ranking

COSTS = st.floats(allow_nan=False) | st.sampled_from([math.inf, 0.0, 1.0])
KEYS = st.tuples(st.sampled_from([-3.0, -1.0, 0.0]), COSTS)


@given(st.lists(st.tuples(st.integers(0, 300), KEYS, st.booleans()), max_size=400))
def test_it_is_always_a_full_sort(changes):
    """Few changes are sorted in, many at once are sorted anew: both equal `sorted` over everything."""
    keys = {}
    ranking = Ranking(keys.__getitem__)
    for number, key, ask in changes:
        keys[number] = key
        ranking.change(number)
        if ask:
            assert ranking.sorted() == sorted((k, n) for n, k in keys.items() if math.isfinite(k[1]))
    numbers = [number for _, number in ranking.sorted()]
    assert ranking.numbers(3) == numbers[:3]
    assert ranking.best == (numbers[0] if numbers else None)
    assert ranking.front == [number for number in numbers if keys[number] == keys[numbers[0]]]
    assert ranking.sorted() == sorted((k, n) for n, k in keys.items() if math.isfinite(k[1]))
