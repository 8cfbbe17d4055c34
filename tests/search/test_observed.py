import gc

import numpy as np

from lightning_tune.core.space import Float, Space
from lightning_tune.search import RandomSearch, observed
from lightning_tune.search.observed import encoding_of, placed
from lightning_tune.testing.functions import make_coordinator, run_function

SPACE = Space({"x": Float(0, 1)})


def value(config, step):
    if config["x"] < 0.3:
        raise MemoryError
    return config["x"] + 1 / step


def test_trials_are_rows_in_the_order_of_their_starts():
    history = run_function(SPACE, RandomSearch(), value, max_trials=12, max_budget=2)
    points, groups = placed(encoding_of(SPACE), history)
    assert [group.number for group in groups] == list(range(12))
    assert points[:, 0].tolist() == [trial.config["x"] for trial in history]


def test_a_growing_history_is_seen_whole_and_a_space_does_not_disturb_another():
    encoding, narrow = encoding_of(SPACE), encoding_of(Space({"x": Float(0, 0.5)}))
    coordinator = make_coordinator(SPACE, RandomSearch(), max_trials=30)
    for number in range(1, 31):
        coordinator.next_jobs(1)
        points, groups = placed(encoding, coordinator.history)
        assert len(points) == len(groups) == number
    expected = [group.config["x"] for group in coordinator.history.groups]
    np.testing.assert_array_equal(points[:, 0], expected)
    inside, _ = placed(narrow, coordinator.history)
    np.testing.assert_allclose(inside[:, 0] / 2, [x for x in expected if x <= 0.5])


def test_what_is_remembered_goes_with_its_history():
    history = run_function(SPACE, RandomSearch(), value, max_trials=2)
    placed(encoding_of(SPACE), history)
    before = len(observed._places)
    del history
    gc.collect()
    assert len(observed._places) < before
