"""The functions' names, arguments and errors are torch.nn.functional's."""

import inspect
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch.nn import functional as theirs

from lightning_tune import norm
from lightning_tune.norm import functional as ours
from lightning_tune.norm.textbook import textbook_batch_norm

NAMES = ("layer_norm", "rms_norm", "group_norm", "batch_norm", "instance_norm")
X = torch.randn(3, 4, 5)
BACKENDS = ("auto", "aten", "reference")


@pytest.mark.parametrize("name", NAMES)
def test_arguments_are_torchs_and_a_backend(name: str):
    found = dict(inspect.signature(getattr(ours, name)).parameters)
    backend = found.pop("backend")
    assert (backend.kind, backend.default) == (inspect.Parameter.KEYWORD_ONLY, "auto")
    wanted = inspect.signature(getattr(theirs, name)).parameters
    assert [(each.name, each.default, each.kind) for each in found.values()] == [
        (each.name, each.default, each.kind) for each in wanted.values()
    ]


def test_all_names_are_there():
    assert sorted(ours.__all__) == ours.__all__
    assert all(hasattr(ours, name) for name in ours.__all__)
    assert ours.textbook_batch_norm is textbook_batch_norm is norm.textbook_batch_norm
    assert all(hasattr(norm, name) for name in norm.__all__)


REFUSED = [
    ("layer_norm", (X, [4]), {}),
    ("layer_norm", (X, []), {}),
    ("layer_norm", (X, [5], torch.ones(4)), {}),
    ("layer_norm", (X.long(), [5]), {}),
    ("layer_norm", (X, [5], torch.ones(5).double()), {}),
    ("rms_norm", (X, [4]), {}),
    ("rms_norm", (X, [5], torch.ones(1)), {}),
    ("rms_norm", (X.long(), [5]), {}),
    ("group_norm", (X, 3), {}),
    ("group_norm", (X[0, 0], 2), {}),
    ("group_norm", (X[:1, :, 0], 4), {}),
    ("group_norm", (X, 2, torch.ones(3)), {}),
    ("batch_norm", (X, None, None), {}),
    ("batch_norm", (X, torch.ones(3), torch.ones(4)), {}),
    ("batch_norm", (X, torch.ones(4), None, None, None, True), {}),
    ("batch_norm", (X[:1, :, 0], None, None), {"training": True}),
    ("batch_norm", (X, None, None), {"training": True, "eps": 0.0}),
    ("batch_norm", (X, torch.ones(4), torch.ones(4)), {"eps": -1.0}),
    ("batch_norm", (X, None, None, torch.ones(5)), {"training": True}),
    ("instance_norm", (X[:, :, :1],), {}),
    ("instance_norm", (X[:, :, 0],), {}),
    ("instance_norm", (X,), {"use_input_stats": False}),
    ("instance_norm", (X, torch.ones(4), torch.ones(3)), {}),
    ("instance_norm", (X, None, None, torch.ones(3)), {}),
]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    "case", REFUSED, ids=lambda case: f"{case[0]} {[getattr(value, 'shape', value) for value in case[1]]}"
)
def test_what_torch_refuses_is_refused_in_its_words(case, backend: str):
    name, arguments, options = case
    with pytest.raises(Exception) as wanted:  # noqa: B017, PT011 - whatever torch raises
        getattr(theirs, name)(*arguments, **options)
    with pytest.raises(wanted.type) as found:
        getattr(ours, name)(*arguments, **options, backend=backend)
    assert str(found.value) == str(wanted.value)


@pytest.mark.slow
def test_the_kernels_do_what_torch_does():
    """In Triton's interpreter, which must be asked for before triton is imported: in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-W", "error", str(Path(__file__).with_name("kernel_cases.py"))],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "TRITON_INTERPRET": "1", "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["functions", "statistics", "layers", "compiled", "exported"]
