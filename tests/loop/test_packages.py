import subprocess
import sys

import lightning.pytorch as pl
import pytest
import pytorch_lightning

from lightning_tune.errors import ArgumentError
from lightning_tune.loop.packages import common_package, home_of


class Ours(pl.LightningModule):
    pass


class Theirs(pytorch_lightning.LightningModule):
    pass


def test_classes_and_instances_know_their_package():
    assert home_of(Ours) == home_of(Ours()) == "lightning.pytorch"
    assert home_of(Theirs) == "pytorch_lightning"
    assert home_of(3) is None


def test_one_package_for_all():
    assert common_package(model=Ours, datamodule=None) is pl
    assert common_package(model=Theirs, trainer={}) is pytorch_lightning


def test_a_mix_up_is_one_clear_sentence():
    with pytest.raises(
        ArgumentError, match="`model` is a class of the package `lightning`, but `datamodule` is one of"
    ):
        common_package(model=Ours, datamodule=pytorch_lightning.LightningDataModule)


def test_finding_one_package_does_not_import_the_other():
    code = (
        "import sys, lightning.pytorch as pl\n"
        "from lightning_tune.loop.packages import common_package\n"
        "class M(pl.LightningModule): pass\n"
        "assert common_package(model=M) is pl\n"
        "print('pytorch_lightning' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_a_function_counts_by_the_package_whose_names_it_uses():
    hidden = Theirs
    assert common_package(model=lambda config: Theirs()) is pytorch_lightning
    assert common_package(model=lambda config: hidden()) is pytorch_lightning
    assert common_package(model=lambda config: pl.LightningModule()) is pl
    with pytest.raises(ArgumentError, match="do not work together"):
        common_package(model=lambda config: Theirs(), datamodule=pl.LightningDataModule)
