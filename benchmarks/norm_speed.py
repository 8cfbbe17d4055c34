"""How long the layers of `lightning_tune.norm` take, forward and backward, beside torch.nn's.

    python benchmarks/norm_speed.py             # on a CPU two minutes; writes results/norm_speed.csv
    python benchmarks/norm_speed.py --quick     # small shapes, few rounds: a minute; writes nothing
    python benchmarks/norm_speed.py --recorded  # the tables from the rows that are there
    python benchmarks/norm_speed.py --layers AddRMSNorm "BatchNormAct2d relu"  # replaces their rows

Where there is a GPU: ours (Triton), torch.nn's, the from-scratch reference under `torch.compile`, and
Liger-Kernel's where it is installed, by CUDA events; milliseconds, gigabytes a second that must pass, and
their share of the measured bandwidth of a copy. Without one it says so and measures what a CPU does, on one
thread, in seconds of this process's CPU: ours, torch.nn's, and the reference. A step is a forward and a
backward pass; contenders take turns (`norm_timing.py`), the cases are in `norm_cases.py`. The C library is
told to keep the memory that is freed: whether a step of one contender gets pages that a step of the other has
given back to the system would be luck, and weigh more than all else.

Claims, and an exit status that tells when one does not hold. A layer takes at most 1.03 times torch.nn's: the
95% bootstrap interval of the ratio reaches 1.03 or below. On a CPU a compound takes less than torch.nn's two
calls, the whole interval below 1; with `memory_efficient` at most 1.03 times theirs. There the peak memory of
a step, and of a short network, is less than with torch.nn's (`norm_memory.py`; with a ReLU the network's is
not more: the next layer keeps its output anyway).
"""

import argparse
import csv
import importlib.util
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # the profiler tells of each of its starts
KEEPING = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(1 << 40)}
# the C library reads them at its start
if __name__ == "__main__" and not KEEPING.keys() <= os.environ.keys():
    os.environ |= KEEPING
    os.execv(sys.executable, [sys.executable, *sys.argv])

import torch  # noqa: E402
from norm_cases import Case, cases  # noqa: E402
from norm_memory import peak_of_stack, peak_of_step  # noqa: E402
from norm_timing import (  # noqa: E402
    copy_bandwidth,
    cpu_seconds,
    cuda_seconds,
    milliseconds,
    ratio,
    rounds_of,
)
from recording import RESULTS, environment, print_table, write_csv  # noqa: E402
from torch import nn  # noqa: E402

from lightning_tune.norm.cpp import build  # noqa: E402

RATIO_LIMIT = 1.03
ROUNDS, QUICK_ROUNDS = 31, 7
RECORDED = RESULTS / "norm_speed.csv"
Row = dict[str, Any]


def main() -> None:
    """Measure, print the table, write the CSV; fail if a claim does not hold."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="small shapes, few rounds; writes nothing")
    parser.add_argument("--recorded", action="store_true", help="measure nothing")
    parser.add_argument("--layers", nargs="+", help="only these; replaces their rows")
    parser.add_argument("--rounds", type=int, help=f"of every case ({ROUNDS})")
    args = parser.parse_args()
    rounds = args.rounds or (QUICK_ROUNDS if args.quick else ROUNDS)
    torch.set_num_threads(1)
    rows = read(RECORDED) if args.recorded else list(measured(rounds, args.layers, quick=args.quick))
    show(rows)
    if not (args.quick or args.recorded):
        write(rows)
    faults = [] if args.quick else broken(rows)  # so few rounds do not tell
    if faults:
        raise SystemExit("does not hold:\n" + "\n".join(faults))


def measured(rounds: int, layers: Sequence[str] | None, *, quick: bool) -> Iterator[Row]:
    """Yield a row a case, on the GPU if there is one."""
    gpu = torch.cuda.is_available()
    if not gpu:
        print("there is no GPU here: these are the paths that a CPU takes, on one thread", flush=True)
        print(f"kernels in C++: {build.trouble() or 'compiled'}\n", flush=True)
    measure = on_gpu(copy_bandwidth("cuda", cuda_seconds)) if gpu else on_cpu
    for case in cases(quick=quick):
        if layers is None or case.layer in layers:
            row = measure(case, rounds)
            print(
                f"{case.name}, {row['shape']} {row['dtype']}: {row['ours_ms']} ms,"
                f" torch.nn {row['torch_ms']} ms, ratio {row['ratio']}",
                flush=True,
            )
            yield row


def on_cpu(case: Case, rounds: int) -> Row:
    """Measure a case on the CPU, and the peak memory of a network with it where that is claimed."""
    tensors = case.tensors()
    contenders = {"ours": case.step(case.ours(), tensors), "torch": case.step(case.theirs(), tensors)}
    found = rounds_of(contenders, cpu_seconds, rounds=rounds)
    if not case.memory_efficient:  # the reference is the same with it; a third of the rounds tell
        reference = {"reference": case.step(case.ours(backend="reference"), tensors)}
        found |= rounds_of(reference, cpu_seconds, rounds=max(3, rounds // 6), warm_ups=1)
    return row_of(case, "cpu", found)


def on_gpu(bandwidth: float) -> Callable[[Case, int], Row]:
    """Return what measures a case on the GPU, whose copies pass so many bytes a second."""

    def measure(case: Case, rounds: int) -> Row:
        tensors = case.tensors("cuda")
        contenders = {"ours": case.step(case.ours(), tensors), "torch": case.step(case.theirs(), tensors)}
        if not case.memory_efficient:
            contenders["compiled"] = case.step(compiled(case.ours(backend="reference")), tensors)
        if (peer := liger(case)) is not None:
            contenders["liger"] = case.step(peer, tensors)
        found = rounds_of(contenders, cuda_seconds, rounds=rounds, warm_ups=10)
        return row_of(case, "cuda", found, bandwidth)

    return measure


def compiled(layer: nn.Module) -> nn.Module:
    """Compile a layer in place and return it."""
    layer.compile(fullgraph=True)
    return layer


def liger(case: Case) -> nn.Module | None:
    """Return Liger-Kernel's layer for a case, if it is installed and has one."""
    if importlib.util.find_spec("liger_kernel") is None:
        return None
    from liger_kernel.transformers import LigerLayerNorm, LigerRMSNorm  # type: ignore[import-not-found]

    layers: dict[str, Callable[[], nn.Module]] = {
        "LayerNorm": lambda: LigerLayerNorm(case.shape[-1], eps=1e-5, bias=True),
        "RMSNorm": lambda: LigerRMSNorm(case.shape[-1], eps=torch.finfo(torch.float32).eps),
    }
    return layers[case.layer]() if case.layer in layers else None


def row_of(case: Case, device: str, found: dict[str, list[float]], bandwidth: float | None = None) -> Row:
    """Return a row of the CSV."""
    middle, low, high = ratio(found["ours"], found["torch"])
    passed = case.moved_bytes / (float(milliseconds(found["ours"])) / 1e3)
    return {
        "layer": case.layer,
        "memory_efficient": case.memory_efficient,
        "compound": case.compound,
        "device_type": device,
        "shape": "x".join(map(str, case.shape)),
        "dtype": str(case.dtype).removeprefix("torch."),
        "input_bytes": case.bytes,
        "rounds": len(found["ours"]),
        **{
            f"{name}_ms": milliseconds(found[name]) if name in found else ""
            for name in ("ours", "torch", "reference", "compiled", "liger")
        },
        "ratio": f"{middle:.4f}",
        "ratio_low": f"{low:.4f}",
        "ratio_high": f"{high:.4f}",
        "ours_gb_per_s": f"{passed / 1e9:.1f}",
        "of_copy": f"{passed / bandwidth:.3f}" if bandwidth else "",
        **peaks(case if case.memory_efficient and device == "cpu" else None),
    }


def peaks(case: Case | None) -> Row:
    """Return the columns of peak memory, empty without a case."""
    return {
        f"{side}_{name}_mib": "" if case is None else f"{measure(case, ours=side == 'ours') / 2**20:.2f}"
        for name, measure in (("peak", peak_of_step), ("stack", peak_of_stack))
        for side in ("ours", "torch")
    }


def key(row: Row) -> tuple[str, ...]:
    """Return what tells rows apart."""
    return tuple(str(row[name]) for name in ("layer", "memory_efficient", "device_type", "shape", "dtype"))


def read(path: Path) -> list[Row]:
    """Read recorded rows."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def write(rows: Sequence[Row]) -> None:
    """Write rows in the place of those of the same cases; others stay as they are."""
    where = environment(["torch"])
    if rows[0]["device_type"] == "cuda":
        where["device"] = torch.cuda.get_device_name()
    where["load_5_min"] = f"{os.getloadavg()[1]:.2f}"
    new = {key(row): {**row, **where} for row in rows}
    old = {key(row): row for row in read(RECORDED)} if RECORDED.exists() else {}
    write_csv(RECORDED, list((old | new).values()))


def show(rows: Sequence[Row]) -> None:
    """Print a line a case."""
    print("\nmilliseconds of a forward and a backward pass; ratio to torch.nn (95% interval); peaks in MiB\n")
    times = [
        name
        for name in ("ours", "torch", "reference", "compiled", "liger")
        if any(row[f"{name}_ms"] for row in rows)
    ]
    print_table(
        [
            "layer",
            "shape",
            "type",
            *times,
            "ratio",
            "interval",
            "GB/s",
            "of copy",
            "peak",
            "torch's",
            "stack",
            "torch's",
        ],
        [
            [
                row["layer"] + (", memory-efficient" if str(row["memory_efficient"]) == "True" else ""),
                row["shape"],
                row["dtype"],
                *(row[f"{name}_ms"] for name in times),
                row["ratio"],
                f"{row['ratio_low']} to {row['ratio_high']}",
                row["ours_gb_per_s"],
                row["of_copy"],
                row["ours_peak_mib"],
                row["torch_peak_mib"],
                row["ours_stack_mib"],
                row["torch_stack_mib"],
            ]
            for row in rows
        ],
    )
    print(flush=True)


def broken(rows: Sequence[Row]) -> list[str]:
    """Return which claims do not hold."""
    faults = []
    for row in rows:
        saving = ", memory-efficient" if str(row["memory_efficient"]) == "True" else ""
        name = f"{row['layer']}{saving}, {row['shape']} {row['dtype']}"
        low, high = float(row["ratio_low"]), float(row["ratio_high"])
        if saving:
            for where in ("peak", "stack") if row["ours_peak_mib"] else ():
                own, other = float(row[f"ours_{where}_mib"]), float(row[f"torch_{where}_mib"])
                kept_anyway = where == "stack" and row["layer"].endswith("relu")
                if own >= other * (1.01 if kept_anyway else 1):
                    faults.append(f"{name}: {where} of {own} MiB, torch.nn {other}")
        if str(row["compound"]) == "True" and row["device_type"] == "cpu" and not saving:
            if high >= 1:
                faults.append(f"{name}: not shown to be faster than two calls, {low:g} to {high:g} times")
        elif low > RATIO_LIMIT:
            faults.append(f"{name}: takes {low:g} to {high:g} times as long as torch.nn")
    return faults


if __name__ == "__main__":
    main()
