import io
import random

import numpy as np
import torch

from lightning_tune.callbacks.random_state import global_random_state, set_global_random_state


def draws():
    return random.random(), random.gauss(0, 1), np.random.rand(), np.random.randn(), float(torch.rand(1))


def test_states_survive_a_checkpoint_that_is_loaded_with_weights_only():
    random.seed(1), np.random.seed(1), torch.manual_seed(1)
    random.gauss(0, 1), np.random.randn()  # leaves a second Gaussian cached in both
    buffer = io.BytesIO()
    torch.save(global_random_state(), buffer)
    expected = draws()
    assert draws() != expected
    buffer.seek(0)
    set_global_random_state(torch.load(buffer, weights_only=True))
    assert draws() == expected
