import math

from hypothesis import given
from hypothesis import strategies as st

from lightning_tune.core.ranking import Ranking

COSTS = st.floats(allow_nan=False) | st.sampled_from([math.inf, 0.0, 1.0])


@given(st.lists(st.tuples(st.integers(0, 300), COSTS, st.booleans()), max_size=400))
def test_it_is_always_a_full_sort(changes):
    """Few changes are sorted in, many at once are sorted anew: both equal `sorted` over everything."""
    costs = {}
    ranking = Ranking(costs.__getitem__)
    for number, cost, ask in changes:
        costs[number] = cost
        ranking.change(number)
        if ask:
            assert ranking.sorted() == sorted((c, n) for n, c in costs.items() if math.isfinite(c))
    assert ranking.sorted() == sorted((c, n) for n, c in costs.items() if math.isfinite(c))
