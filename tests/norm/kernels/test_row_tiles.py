"""How matrices are cut."""

import pytest
import torch

from lightning_tune.norm.kernels.row_tiles import (
    BACKWARD,
    FORWARD,
    Pass,
    multiprocessors_of,
    tiles,
    wide_tiles,
)


@pytest.mark.parametrize("part", [FORWARD, BACKWARD])
@pytest.mark.parametrize("itemsize", [2, 4])
@pytest.mark.parametrize("columns", [1, 3, 64, 768, 1024, 4096, 8192])
@pytest.mark.parametrize("rows", [0, 1, 50, 4096, 12608, 1_000_000])
def test_tiles_cover_the_matrix(part: Pass, itemsize: int, columns: int, rows: int) -> None:
    cut = tiles(part, rows, columns, itemsize)
    assert cut.columns >= columns > cut.columns // 2
    assert cut.rows & (cut.rows - 1) == cut.columns & (cut.columns - 1) == cut.warps & (cut.warps - 1) == 0
    assert 1 <= cut.warps <= part.warps
    # a program for each tile, or programs that go on to the next tile
    assert cut.programs <= -(-rows // cut.rows)
    # a thread holds at most 32 numbers of a tile
    assert cut.rows * cut.columns <= max(32 * 32 * cut.warps, cut.columns)


@pytest.mark.parametrize("rows", [4096, 12608, 100_000])
@pytest.mark.parametrize("columns", [64, 768, 1024, 4096, 8192])
def test_weight_and_bias_are_read_seldom(rows: int, columns: int) -> None:
    """Where each program reads both once: under 5 % of what the rows take."""
    programs = tiles(FORWARD, rows, columns, 2).programs
    assert programs * 2 * columns <= 0.05 * rows * 2 * columns


@pytest.mark.parametrize("rows", [132, 1000, 4096, 100_000])
@pytest.mark.parametrize("columns", [64, 1024, 8192])
def test_every_multiprocessor_has_work(rows: int, columns: int) -> None:
    assert tiles(FORWARD, rows, columns, 2).programs >= min(132, rows)


@pytest.mark.parametrize("rows", [0, 1, 2, 5, 8, 9, 128, 100_000])
@pytest.mark.parametrize("columns", [8193, 17000, 65537, 1_000_000])
def test_wide_tiles_cover_the_matrix(rows: int, columns: int) -> None:
    cut = wide_tiles(rows, columns)
    assert cut.blocks * cut.columns >= columns > (cut.blocks - 1) * cut.columns
    assert cut.rows * cut.columns == 4096
    assert cut.rows < 2 * max(rows, 1)
    assert (cut.programs > 0) == (rows > 0)
    assert cut.programs <= -(-rows // cut.rows)
    assert cut.grid == (cut.blocks, cut.programs)
    assert cut.programs < 2**16  # a grid's second axis takes no more


@pytest.mark.parametrize("rows", [1, 20, 32, 128, 4096])
@pytest.mark.parametrize("columns", [17000, 65536])
def test_of_wide_rows_weight_and_bias_are_read_seldom(rows: int, columns: int) -> None:
    """Beyond the first time: under 5 % of the rows, which are read twice and written once."""
    again = wide_tiles(rows, columns).programs - 1
    assert again * 2 * columns <= 0.05 * 3 * rows * columns


def test_a_single_wide_row_keeps_the_gpu_busy() -> None:
    cut = wide_tiles(1, 1_000_000)
    assert cut.rows == 1
    assert cut.blocks * cut.programs >= 132


def test_multiprocessors() -> None:
    """Where no GPU is, as many as a usual one has: what is traced there is for such a one."""
    if not torch.cuda.is_available():
        assert multiprocessors_of(torch.device("cpu")) == multiprocessors_of(torch.device("cuda:0")) == 132
