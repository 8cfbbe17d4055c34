"""What the kernels of `lightning_tune.norm` take of a GPU that is not here: registers, widths, bytes.

    python benchmarks/norm_resources.py             # ten minutes; writes two CSVs
    python benchmarks/norm_resources.py --quick     # few kernels, layer and group norm; writes nothing
    python benchmarks/norm_resources.py --recorded  # the tables from the rows that are there

Each kernel is compiled ahead of time for sm_80 and sm_90, as its module's `specifications()` list it, and
the tools inside the triton package read the result: registers a thread, spilled bytes, shared memory, and how
wide its loads from and stores to global memory are. What passes to and from memory is counted in a process
of its own under Triton's interpreter (`norm_traffic.py`, which says what the floors are).

Three claims, and an exit status that tells when one does not hold. Nothing spills. Tensors are read and
written 16 bytes at a time: at least a third of the bits of a kernel's load and store instructions are in
128-bit ones (a tensor that was read otherwise would outweigh them; the others are vectors with a value a row,
column or channel, and kernels that store sums alone are not asked how). And a forward pass moves at most 1.05
times its floor, a backward pass 1.13 times: beside the tensors there are the parts of the gradients of weight
and bias, written once and read once.
"""

import argparse
import csv
import importlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.pop("TRITON_INTERPRET", None)  # what is interpreted cannot be compiled

from recording import RESULTS, ROOT, environment, print_table, write_csv  # noqa: E402

from lightning_tune.norm.kernels.ahead import resources  # noqa: E402
from lightning_tune.norm.kernels.launch import Specification  # noqa: E402

FAMILIES = ("rows", "channels", "groups")
CAPABILITIES = (80, 90)
SUMS = ("parts", "merge", "moments", "sums")
"""In the names of kernels that store sums alone, and of those that read nothing else."""
WIDE_SHARE = 1 / 3
FORWARD_LIMIT, BACKWARD_LIMIT = 1.05, 1.13
COMPILED, TRAFFIC = RESULTS / "norm_resources.csv", RESULTS / "norm_traffic.csv"
Row = dict[str, Any]


def main() -> None:
    """Compile and count, print the tables, write the CSVs; fail if a claim does not hold."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="few kernels; writes nothing")
    parser.add_argument("--recorded", action="store_true", help="measure nothing")
    parser.add_argument("--only", choices=("compiled", "traffic"), help="one half; the other's rows stay")
    args = parser.parse_args()
    compiled, traffic = (
        list(make(quick=args.quick)) if not args.recorded and args.only in (None, half) else read(path)
        for half, make, path in (("compiled", compiled_rows, COMPILED), ("traffic", traffic_rows, TRAFFIC))
    )
    show(compiled, traffic)
    if not (args.quick or args.recorded):
        where = environment(["torch", "triton"])
        for half, path, rows in (("compiled", COMPILED, compiled), ("traffic", TRAFFIC, traffic)):
            if args.only in (None, half):
                write_csv(path, [{**row, **where} for row in rows])
    if faults := broken(compiled, traffic):
        raise SystemExit("does not hold:\n" + "\n".join(faults))


def read(path: Path) -> list[Row]:
    """Read recorded rows, if there are any."""
    if not path.exists():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def compiled_rows(*, quick: bool) -> Iterator[Row]:
    """Yield a row for each kernel and target."""
    for family in FAMILIES:
        module = importlib.import_module(f"lightning_tune.norm.kernels.{family}")
        chosen: list[Specification] = list(module.specifications())
        if quick:
            usual = [one for one in chosen if one.name.endswith("_norm_forward 4096 bfloat16")]
            chosen = usual or chosen[:2]
        for specification in chosen:
            yield from (_compiled(family, specification, capability) for capability in CAPABILITIES)


def _compiled(family: str, specification: Specification, capability: int) -> Row:
    found = resources(specification, capability)
    print(f"{found.name}, sm_{capability}: {found.registers} registers", flush=True)
    row: Row = {
        "family": family,
        "kernel": found.name,
        "target": f"sm_{capability}",
        "warps": specification.num_warps,
        "registers": found.registers,
        "spilled_bytes": found.spilled_bytes,
        "shared_bytes": found.shared_bytes,
    }
    for kind in ("load", "store"):
        row[f"{kind}s"] = " ".join(f"{bits}x{count}" for bits, count in widths(found.access_bits, kind))
        row[f"{kind}s_128"] = wide_share(found.access_bits, kind)
    return row


def widths(access_bits: dict[str, int], kind: str) -> list[tuple[int, int]]:
    """Return (bits, instructions) of the loads or stores, the widest first."""
    pairs = [(key.split(), count) for key, count in access_bits.items()]
    return sorted(((int(bits), count) for (what, bits), count in pairs if what == kind), reverse=True)


def wide_share(access_bits: dict[str, int], kind: str) -> str:
    """Return which share of the bits of all load or store instructions the 128-bit ones move."""
    found = widths(access_bits, kind)
    bits = sum(width * count for width, count in found)
    return f"{sum(width * count for width, count in found if width == 128) / bits:.3f}" if bits else ""


def traffic_rows(*, quick: bool) -> Iterator[Row]:
    """Yield a row for each case that `norm_traffic.py` counts."""
    command = [
        sys.executable,
        str(Path(__file__).parent / "norm_traffic.py"),
        *(["--quick"] if quick else []),
    ]
    variables = {**os.environ, "TRITON_INTERPRET": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=variables, cwd=ROOT) as process:
        assert process.stdout is not None
        for line in process.stdout:
            row = json.loads(line)
            print(
                f"{row['operation']}, {row['shape']} {row['dtype']}: {row['of_floor']} of the floor",
                flush=True,
            )
            yield row
    if process.returncode:
        raise SystemExit("norm_traffic.py failed")


def show(compiled: Sequence[Row], traffic: Sequence[Row]) -> None:
    """Print what each kernel takes, and what each operation moves."""
    print("\na kernel's registers (of at most 255), spilled and shared bytes; bits x instructions\n")
    columns = ("registers", "spilled_bytes", "shared_bytes", "loads", "stores")
    print_table(
        ["kernel", "target", "warps", *columns],
        [
            [row["kernel"], row["target"], str(row["warps"]), *(str(row[name]) for name in columns)]
            for row in compiled
        ],
    )
    print("\nbytes that an operation reads and writes, beside each input once and each output once\n")
    print_table(
        ["operation", "shape", "type", "read", "written", "of once", "read again", "of the floor"],
        [
            [
                row["operation"],
                row["shape"],
                row["dtype"],
                f"{int(row['read_bytes']):,}",
                f"{int(row['written_bytes']):,}",
                f"{float(row['of_once']):.3f}",
                f"{int(row['again_bytes']):,}",
                f"{float(row['of_floor']):.3f}",
            ]
            for row in traffic
        ],
    )
    print(flush=True)


def broken(compiled: Sequence[Row], traffic: Sequence[Row]) -> list[str]:
    """Return which claims do not hold."""
    faults = []
    for row in compiled:
        name = f"{row['kernel']}, {row['target']}"
        if int(row["spilled_bytes"]):
            faults.append(f"{name}: spills {row['spilled_bytes']} bytes")
        small = any(word in row["kernel"] for word in SUMS)
        asked = (
            ()
            if row["kernel"].startswith(SUMS + ("add_parts",))
            else ("load",)
            if small
            else ("load", "store")
        )
        faults += [
            f"{name}: 128-bit {kind}s are only {row[f'{kind}s_128']} of its {kind}s ({row[f'{kind}s']})"
            for kind in asked
            if float(row[f"{kind}s_128"] or 0) < WIDE_SHARE
        ]
    for row in traffic:
        limit = BACKWARD_LIMIT if "backward" in row["operation"] else FORWARD_LIMIT
        if float(row["of_floor"]) > limit:
            name = f"{row['operation']}, {row['shape']} {row['dtype']}"
            faults.append(f"{name}: moves {row['of_floor']} times its floor, at most {limit} wanted")
    return faults


if __name__ == "__main__":
    main()
