"""Bytes that the kernels of `lightning_tune.norm` read and write, counted under Triton's interpreter.

    TRITON_INTERPRET=1 python benchmarks/norm_traffic.py   # JSON; `norm_resources.py` runs it

Every load and store of a kernel is counted, lane by lane; lanes that are masked do not count. The floor of a
case is what must pass between the chip and its memory: each input is read once and each output written once,
where statistics for the backward pass are outputs, too. What does not fit on the chip between two uses has to
be read again, which `again` says: the input of a batch norm in training (all samples of a channel are needed
before the first is written), both tensors of its backward pass, groups too large for the registers, and so
are rows of over 16,384 columns.
"""

import argparse
import contextlib
import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from triton.runtime import interpreter

from lightning_tune.norm.kernels import channels, groups, rows

ROWS = (4096, 1024)
WIDE = (32, 65_536)
IMAGES = (32, 64, 56, 56)
LAST = (32, 512, 7, 7)
GROUPED = (16, 256, 28, 28)
EPS = 1e-5


@dataclass(frozen=True, kw_only=True)
class Case:
    """A launcher with its arguments.

    Attributes:
        name: of the operation and direction.
        shape: of the input, as text.
        dtype: of storage.
        call: runs it and returns its outputs.
        inputs: what it must read.
        again: what cannot stay on the chip and must be read another time.
    """

    name: str
    shape: str
    dtype: str
    call: Callable[[], Sequence[Tensor | None]]
    inputs: Sequence[Tensor]
    again: Sequence[Tensor] = ()


class Counted:
    """Bytes that were read and written, by kernel."""

    def __init__(self) -> None:
        self.read: Counter[str] = Counter()
        self.written: Counter[str] = Counter()
        self.kernel = ""


@contextlib.contextmanager
def counting() -> Iterator[Counted]:
    """Count loads and stores of every kernel that is interpreted meanwhile."""
    counted, builder, executor = Counted(), interpreter.InterpreterBuilder, interpreter.GridExecutor
    load, store, run = builder.create_masked_load, builder.create_masked_store, executor.__call__

    def counted_load(self: Any, pointers: Any, mask: Any, *rest: Any) -> Any:
        result = load(self, pointers, mask, *rest)
        counted.read[counted.kernel] += int(mask.data.sum()) * result.data.itemsize
        return result

    def counted_store(self: Any, pointers: Any, value: Any, mask: Any, *rest: Any) -> Any:
        counted.written[counted.kernel] += int(mask.data.sum()) * value.data.itemsize
        return store(self, pointers, value, mask, *rest)

    def named_run(self: Any, *arguments: Any, **options: Any) -> Any:
        counted.kernel = self.fn.__name__
        return run(self, *arguments, **options)

    builder.create_masked_load, builder.create_masked_store = counted_load, counted_store
    executor.__call__ = named_run
    try:
        yield counted
    finally:
        builder.create_masked_load, builder.create_masked_store = load, store
        executor.__call__ = run


def cases(*, quick: bool) -> Iterator[Case]:
    """Yield every operation, forward and backward, at usual shapes; few of them if it shall be quick."""
    if quick:
        yield from (case for case in row_cases(ROWS, torch.bfloat16) if case.name.startswith("layer"))
        yield from group_cases(GROUPED, 32, torch.bfloat16)
        return
    for dtype in (torch.bfloat16, torch.float32):
        yield from row_cases(ROWS, dtype)
    yield from row_cases(WIDE, torch.bfloat16)
    for layout in (torch.contiguous_format, torch.channels_last):
        yield from channel_cases(IMAGES, torch.bfloat16, layout)
    yield from channel_cases(LAST, torch.float32, torch.contiguous_format)
    for count in (32, 2):
        yield from group_cases(GROUPED, count, torch.bfloat16)


def row_cases(shape: tuple[int, int], dtype: torch.dtype) -> Iterator[Case]:
    """Yield layer and RMS norm over rows, alone and with a residual."""
    x, residual, grad, grad_sum = (torch.randn(shape).to(dtype) for _ in range(4))
    weight, bias = (torch.randn(shape[1]).to(dtype) for _ in range(2))
    _, mean, rstd = rows.layer_norm_forward(x[:1], weight, bias, EPS)
    mean, rstd = (one.expand(shape[0]).contiguous() for one in (mean, rstd))
    wide = shape == WIDE
    said: dict[str, Any] = {"shape": "x".join(map(str, shape)), "dtype": str(dtype).removeprefix("torch.")}

    twice = (grad, x)

    def case(name: str, call: Callable[[], Any], *inputs: Tensor, again: Sequence[Tensor] = ()) -> Case:
        return Case(name=name, call=call, inputs=inputs, again=again if wide else (), **said)

    yield case(
        "layer_norm forward",
        lambda: rows.layer_norm_forward(x, weight, bias, EPS),
        *(x, weight, bias),
        again=(x,),
    )
    yield case(
        "layer_norm backward",
        lambda: rows.layer_norm_backward(grad, x, mean, rstd, weight, True),
        *(grad, x, mean, rstd, weight),
        again=twice,
    )
    yield case("rms_norm forward", lambda: rows.rms_norm_forward(x, weight, EPS), x, weight, again=(x,))
    yield case(
        "rms_norm backward",
        lambda: rows.rms_norm_backward(grad, x, rstd, weight),
        *(grad, x, rstd, weight),
        again=twice,
    )
    yield case(
        "add_layer_norm forward",
        lambda: rows.add_layer_norm_forward(x, residual, weight, bias, EPS),
        *(x, residual, weight, bias),
        again=(x,),
    )
    yield case(
        "add_layer_norm backward",
        lambda: rows.add_layer_norm_backward(grad, grad_sum, x, mean, rstd, weight, True),
        *(grad, grad_sum, x, mean, rstd, weight),
        again=twice,
    )
    yield case(
        "add_rms_norm forward",
        lambda: rows.add_rms_norm_forward(x, residual, weight, EPS),
        *(x, residual, weight),
        again=(x,),
    )
    yield case(
        "add_rms_norm backward",
        lambda: rows.add_rms_norm_backward(grad, grad_sum, x, rstd, weight),
        *(grad, grad_sum, x, rstd, weight),
        again=twice,
    )
    yield case(
        "add_layer_norm backward from output",
        lambda: rows.add_layer_norm_backward_from_output(grad, grad_sum, x, rstd, weight, bias),
        *(grad, grad_sum, x, rstd, weight, bias),
        again=twice,
    )


def channel_cases(shape: tuple[int, ...], dtype: torch.dtype, layout: torch.memory_format) -> Iterator[Case]:
    """Yield batch norm with a ReLU, in training and evaluation."""
    x, grad = (torch.randn(shape).to(dtype).contiguous(memory_format=layout) for _ in range(2))
    weight, bias = (torch.randn(shape[1]).to(dtype) for _ in range(2))
    mean, rstd = torch.zeros(shape[1]), torch.ones(shape[1])
    last = " channels-last" if layout == torch.channels_last else ""
    said: dict[str, Any] = {
        "shape": "x".join(map(str, shape)) + last,
        "dtype": str(dtype).removeprefix("torch."),
    }
    yield Case(
        name="batch_norm forward",
        call=lambda: channels.batch_norm_forward(x, weight, bias, EPS, "relu"),
        inputs=(x, weight, bias),
        again=(x,),
        **said,
    )
    yield Case(
        name="batch_norm_eval forward",
        call=lambda: [channels.batch_norm_eval(x, mean, rstd, weight, bias, "relu")],
        inputs=(x, mean, rstd, weight, bias),
        **said,
    )
    for training in (True, False):
        yield Case(
            name=f"batch_norm{'' if training else '_eval'} backward",
            call=lambda training=training: channels.batch_norm_backward(  # type: ignore[misc]
                grad, x, mean, rstd, weight, bias, "relu", training
            ),
            inputs=(grad, x, mean, rstd, weight, bias),
            again=(grad, x) if training else (),
            **said,
        )


def group_cases(shape: tuple[int, ...], count: int, dtype: torch.dtype) -> Iterator[Case]:
    """Yield group norm; with few groups one is too large for the registers of a program."""
    x, grad = (torch.randn(shape).to(dtype) for _ in range(2))
    weight, bias = (torch.randn(shape[1]).to(dtype) for _ in range(2))
    mean, rstd = torch.zeros(shape[0], count), torch.ones(shape[0], count)
    large = count == 2
    said: dict[str, Any] = {
        "shape": "x".join(map(str, shape)) + f" in {count} groups",
        "dtype": str(dtype).removeprefix("torch."),
    }
    yield Case(
        name="group_norm forward",
        call=lambda: groups.group_norm_forward(x, count, weight, bias, EPS),
        inputs=(x, weight, bias),
        again=(x,) if large else (),
        **said,
    )
    yield Case(
        name="group_norm backward",
        call=lambda: groups.group_norm_backward(grad, x, mean, rstd, weight, count),
        inputs=(grad, x, mean, rstd, weight),
        again=(grad, x) if large else (),
        **said,
    )


def measured(case: Case) -> dict[str, Any]:
    """Return what a case read and wrote, beside its floor, as values for JSON."""
    with counting() as counted:
        outputs = case.call()
    written = sum(output.nbytes for output in outputs if output is not None)
    once = sum(one.nbytes for one in case.inputs) + written
    again = sum(one.nbytes for one in case.again)
    read, stored = counted.read.total(), counted.written.total()
    return {
        "operation": case.name,
        "shape": case.shape,
        "dtype": case.dtype,
        "read_bytes": read,
        "written_bytes": stored,
        "once_bytes": once,
        "again_bytes": again,
        "of_once": round((read + stored) / once, 4),
        "of_floor": round((read + stored) / (once + again), 4),
        "kernels": " ".join(
            f"{name}={counted.read[name]}+{counted.written[name]}" for name in counted.read | counted.written
        ),
    }


def main() -> None:
    """Print a line of JSON for each case."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="layer and group norm alone")
    torch.manual_seed(0)
    for case in cases(quick=parser.parse_args().quick):
        sys.stdout.write(json.dumps(measured(case)) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
