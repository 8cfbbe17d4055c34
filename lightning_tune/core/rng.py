"""Randomness is passed: a generator comes from (sweep seed, name, number) and from nothing else."""

import hashlib

import numpy as np


def generator(seed: int, name: str, number: int = 0) -> np.random.Generator:
    """Return the random generator of one purpose (`name`) and one trial (`number`).

    Distinct names and numbers give independent streams (SHA-256 of all three seeds a PCG64).

    Example:
        >>> a, b = generator(0, "random", 3), generator(0, "random", 3)
        >>> a.random() == b.random()
        True
    """
    return np.random.Generator(np.random.PCG64(_digest(seed, name, number)))


def trial_seed(seed: int, number: int) -> int:
    """Return the seed of a trial, in [0, 2**32), from the sweep's seed and the trial's number."""
    return _digest(seed, "trial", number) % 2**32


def _digest(seed: int, name: str, number: int) -> int:
    text = f"{seed}\0{name}\0{number}".encode()
    return int.from_bytes(hashlib.sha256(text).digest()[:16], "little")
