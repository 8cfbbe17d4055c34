"""What a session ran on and with: versions, commit, machine, command line; recorded once a session.

Nothing here starts the GPU driver (that would spoil a later fork) and nothing secret is kept: a command
line's passwords, tokens and keys are replaced by `***`.
"""

import functools
import os
import platform
import socket
import sys
from importlib import metadata
from pathlib import Path

import torch

from lightning_tune._imports import DISTRIBUTION
from lightning_tune.core.events import JSON
from lightning_tune.track.git import commit_of
from lightning_tune.track.secrets import without_secrets

_DISTRIBUTIONS = {
    "lightning_tune": DISTRIBUTION,
    "torch": "torch",
    "lightning": "lightning",
    "pytorch_lightning": "pytorch-lightning",
    "torchmetrics": "torchmetrics",
    "numpy": "numpy",
}


def collect(**extra: JSON) -> dict[str, JSON]:
    """Return the provenance of this process as plain JSON, with whatever is added to it.

    Example:
        >>> facts = collect(note="first try")
        >>> facts["note"], sorted(facts["versions"])[:2]
        ('first try', ['lightning', 'lightning_tune'])
    """
    cwd = os.getcwd()
    return {
        "versions": dict(_versions()),
        "platform": platform.platform(),
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "cpu": _cpu_model(),
        "cpu_count": _cpu_count(),
        "torch_threads": torch.get_num_threads(),
        "gpus": list(_gpus()),
        "cuda": torch.version.cuda,
        "folder": cwd,
        "command": list(without_secrets(sys.argv)),
        **_commit(cwd),
        **extra,
    }


@functools.cache
def _versions() -> dict[str, JSON]:
    versions: dict[str, JSON] = {"python": platform.python_version()}
    for name, distribution in _DISTRIBUTIONS.items():
        try:
            versions[name] = metadata.version(distribution)
        except metadata.PackageNotFoundError:
            continue  # one of the two Lightning packages may be missing, and we may run from a checkout
    return versions


@functools.cache
def _commit(folder: str) -> dict[str, JSON]:
    commit = commit_of(folder)
    return {} if commit is None else {"git_commit": commit.sha, "git_dirty": commit.dirty}


@functools.cache
def _cpu_model() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _cpu_count() -> int:
    """Return how many CPUs this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@functools.cache
def _gpus() -> tuple[str, ...]:
    """Return the names of the machine's GPUs, from the driver's own files where there are some."""
    names = []
    for file in sorted(Path("/proc/driver/nvidia/gpus").glob("*/information")):
        for line in file.read_text(errors="replace").splitlines():
            if line.startswith("Model:"):
                names.append(line.partition(":")[2].strip())
    started = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
    if not names and started:
        names = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    if not names and torch.backends.mps.is_available():
        names = ["Apple GPU (MPS)"]
    return tuple(names)
