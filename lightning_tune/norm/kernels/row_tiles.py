"""How a matrix is cut into tiles for the row kernels.

The cut depends on the shape and the number of multiprocessors alone, and on nothing measured, so that results
are the same to the bit every time on the same GPU.
"""

import functools
from typing import NamedTuple

import torch
import triton

_ELEMENTS = 4096  # of a tile
_BYTES_A_WARP = 1024  # two 16-byte loads in flight a thread
# at least, where that keeps the GPU busy: weight and bias then add under 5 % to what is read
_ROWS_A_PROGRAM = 24
_MULTIPROCESSORS = 132  # where no GPU says otherwise
_WIDE_ROWS = 8  # of a tile of wide rows, at most
_WIDE_ROWS_A_PROGRAM = 16  # at least, if there are as many
_WIDE_PROGRAMS = 4  # a multiprocessor, at most


class Pass(NamedTuple):
    """What a pass over narrow rows may take, by the registers that its kernel needs.

    Attributes:
        widest: columns that fit in the registers of a program.
        warps: of a program, at most.
        resident: warps that a multiprocessor is given, over all of its programs.
    """

    widest: int
    warps: int
    resident: int


FORWARD = Pass(widest=16384, warps=16, resident=32)
BACKWARD = Pass(widest=8192, warps=32, resident=16)


class Tiles(NamedTuple):
    """Constants of a kernel for narrow rows, and the programs of its grid."""

    rows: int
    columns: int
    warps: int
    programs: int

    @property
    def constants(self) -> dict[str, int]:
        """As the kernels take them."""
        return {"ROWS": self.rows, "COLUMNS": self.columns, "num_warps": self.warps}


class WideTiles(NamedTuple):
    """Constants of a kernel for wide rows, and its grid: blocks of columns, and programs for each."""

    rows: int
    columns: int
    blocks: int
    programs: int

    @property
    def constants(self) -> dict[str, int]:
        """As the kernels take them."""
        return {"ROWS": self.rows, "COLUMNS": self.columns, "num_warps": 8}

    @property
    def grid(self) -> tuple[int, int]:
        """As the launch takes it."""
        return self.blocks, self.programs


def tiles(
    part: Pass, rows: int, columns: int, itemsize: int, multiprocessors: int = _MULTIPROCESSORS
) -> Tiles:
    """Cut (rows, columns) into tiles of whole rows, powers of two, and count the programs for them."""
    width = triton.next_power_of_2(columns)
    height = max(1, _ELEMENTS // width)
    while height > 1 and rows < height * multiprocessors:
        height //= 2
    warps = min(max(height * width * itemsize // _BYTES_A_WARP, 1), part.warps)
    resident = max(part.resident // warps, 1)
    while resident > 1 and rows < multiprocessors * resident * _ROWS_A_PROGRAM:
        resident //= 2
    return Tiles(height, width, warps, min(triton.cdiv(rows, height), multiprocessors * resident))


def wide_tiles(rows: int, columns: int, multiprocessors: int = _MULTIPROCESSORS) -> WideTiles:
    """Cut (rows, columns) into tiles both ways, with few programs for a block of columns.

    Each of them reads its part of weight and bias once and leaves a part of their gradients.
    """
    height = _WIDE_ROWS
    while height > 1 and rows <= height // 2:
        height //= 2
    width = _ELEMENTS // height
    blocks = triton.cdiv(columns, width)
    most = max(1, min(_WIDE_PROGRAMS * multiprocessors // blocks, rows // _WIDE_ROWS_A_PROGRAM))
    return WideTiles(height, width, blocks, min(triton.cdiv(rows, height), most))


@functools.cache
def multiprocessors_of(device: torch.device) -> int:
    """Count the multiprocessors; a usual number where kernels are only traced or interpreted."""
    if device.type != "cuda" or not torch.cuda.is_available():
        return _MULTIPROCESSORS
    return torch.cuda.get_device_properties(device).multi_processor_count
