"""Randomness depends on (seed, name, number) and on nothing else, in every process alike."""

import itertools
import os
import random
import subprocess
import sys

import numpy as np
import pytest

from lightning_tune.core.rng import generator, trial_seed


def test_the_same_three_give_the_same_stream():
    first, second = generator(7, "random", 3), generator(7, "random", 3)
    assert np.array_equal(first.random(100), second.random(100))


def test_any_other_three_give_another_stream():
    draws = {
        (seed, name, number): generator(seed, name, number).integers(2**63)
        for seed, name, number in itertools.product(
            (0, 1, -1, 2**70), ("search", "trial", "", "search\0"), (0, 1, 10)
        )
    }
    assert len(set(draws.values())) == len(draws)


def test_streams_are_independent():
    columns = np.array([generator(0, "random", number).random(2000) for number in range(20)])
    correlations = np.corrcoef(columns)[~np.eye(20, dtype=bool)]
    assert abs(correlations).max() < 0.11
    assert columns.mean() == pytest.approx(0.5, abs=0.01)


def test_global_random_state_is_neither_read_nor_changed():
    np.random.seed(1)  # noqa: NPY002
    random.seed(1)
    before = np.random.get_state()[1].copy(), random.getstate()
    first = generator(0, "x").random()
    assert np.array_equal(np.random.get_state()[1], before[0])
    assert random.getstate() == before[1]
    np.random.seed(2)
    random.seed(2)
    assert generator(0, "x").random() == first


def test_a_new_process_with_another_hash_seed_draws_the_same():
    code = (
        "from lightning_tune.core.rng import generator, trial_seed;"
        "print(generator(5, 'search', 2).integers(2**63), trial_seed(5, 2))"
    )
    command = [sys.executable, "-c", code]
    expected = [str(generator(5, "search", 2).integers(2**63)), str(trial_seed(5, 2))]
    for hash_seed in ("0", "1"):
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        assert done.stdout.split() == expected


def test_trial_seeds_are_in_the_range_lightning_takes_and_differ():
    seeds = [trial_seed(seed, number) for seed in (0, 1) for number in range(500)]
    assert all(0 <= seed < 2**32 for seed in seeds)
    assert len(set(seeds)) == len(seeds)
    assert trial_seed(0, 0) == trial_seed(0, 0)
