import gc
import os
import random
import signal
import threading

import numpy as np
import pytest
import torch

from lightning_tune.errors import ArgumentError
from lightning_tune.loop.environment import Signals, from_environment, undisturbed


def test_everything_is_put_back_even_after_an_error(monkeypatch):
    monkeypatch.setenv("PL_GLOBAL_SEED", "7")
    monkeypatch.delenv("PL_SEED_WORKERS", raising=False)
    random.seed(0), np.random.seed(0), torch.manual_seed(0)
    expected = random.random(), np.random.rand(), float(torch.rand(1))
    random.seed(0), np.random.seed(0), torch.manual_seed(0)
    frozen = gc.get_freeze_count()
    with pytest.raises(KeyError), undisturbed():
        assert gc.get_freeze_count() > frozen
        random.seed(5), np.random.seed(5), torch.manual_seed(5)
        os.environ["PL_GLOBAL_SEED"], os.environ["PL_SEED_WORKERS"] = "9", "1"
        raise KeyError
    assert (random.random(), np.random.rand(), float(torch.rand(1))) == expected
    assert os.environ["PL_GLOBAL_SEED"] == "7"
    assert "PL_SEED_WORKERS" not in os.environ
    assert gc.get_freeze_count() == 0


def test_the_first_signal_asks_and_the_second_ends():
    asked = []
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt), Signals(asked.append).owned():
        signal.raise_signal(signal.SIGINT)
        assert asked == ["interrupted by Ctrl-C"]
        signal.raise_signal(signal.SIGINT)
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_sigterm_ends_the_process_once_the_sweep_is_put_away():
    asked = []
    with pytest.raises(SystemExit) as ended, Signals(asked.append).owned():
        signal.raise_signal(signal.SIGTERM)
    assert ended.value.code == 143
    assert asked == ["interrupted by SIGTERM"]


def test_other_threads_own_no_signals():
    handlers = []

    def work():
        with Signals(print).owned():
            handlers.append(signal.getsignal(signal.SIGINT))

    before = signal.getsignal(signal.SIGINT)
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert handlers == [before]


def test_arguments_that_are_left_out_come_from_the_environment(monkeypatch):
    @from_environment
    def call(space, *, max_trials=1, logger=True, name=None):
        return max_trials, logger, name

    monkeypatch.setenv("LIGHTNING_TUNE_MAX_TRIALS", "50")
    monkeypatch.setenv("LIGHTNING_TUNE_LOGGER", "[csv, wandb]")
    monkeypatch.setenv("LIGHTNING_TUNE_SPACE", "never read: it is no keyword")
    assert call({}, name="x") == (50, ["csv", "wandb"], "x")
    assert call({}, max_trials=2) == (2, ["csv", "wandb"], None)
    monkeypatch.setenv("LIGHTNING_TUNE_NAME", "2024")
    monkeypatch.setenv("LIGHTNING_TUNE_MAX_TRIALS", "1e-4")
    assert call({}) == (1e-4, ["csv", "wandb"], "2024")
    monkeypatch.setenv("LIGHTNING_TUNE_LOGGER", "{")
    with pytest.raises(ArgumentError, match="LIGHTNING_TUNE_LOGGER must be YAML, got '{'"):
        call({})
