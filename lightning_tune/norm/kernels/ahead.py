"""Compile kernels for a GPU that is not here, and read from the binary what they take.

Triton compiles for any target; the tools inside its package read the result. Kernels must not be interpreted
(TRITON_INTERPRET unset), so tests call this in a process of its own: `python -m
lightning_tune.norm.kernels.ahead MODULE CAPABILITIES [NAME...]` prints a line of JSON for each specification
of the module and each capability ("80,90"), `{"name": ..., "capability": ..., "registers": ..., ...}`.
"""

import importlib
import json
import re
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from lightning_tune.norm.kernels.launch import Specification

_ALIGNED = [["tt.divisibility", 16]]
_ACCESS = re.compile(r"(?:@%p\d+\s+)?(ld|st|cp\.async)\.\S*?global\S*?(?:\.(v\d))?\.[bfsu](\d+)\b")


@dataclass(frozen=True, kw_only=True, slots=True)
class Resources:
    """What a compiled kernel takes.

    Attributes:
        name: of the specification.
        capability: of the GPU, 90 for sm_90.
        registers: a thread's, of 32 bits.
        spilled_bytes: of local memory a thread, for registers that it lacked.
        shared_bytes: of shared memory a program.
        access_bits: how many instructions load from or store to global memory, by their width, "load 128": 4.
    """

    name: str
    capability: int
    registers: int
    spilled_bytes: int
    shared_bytes: int
    access_bits: dict[str, int]


def compile_ahead(specification: Specification, capability: int) -> Any:
    """Compile for sm_`capability`, with pointers and sizes that are multiples of 16, as they usually are."""
    kernel, signature = specification.kernel, dict(specification.signature)
    place = {name: (kernel.arg_names.index(name),) for name in signature}
    constants = {place[name]: value for name, value in specification.constants.items()}
    aligned = {place[name]: _ALIGNED for name, kind in signature.items() if kind[0] == "*" or kind == "i32"}
    source = ASTSource(kernel, signature=signature, constexprs=constants, attrs=aligned)
    options = {"num_warps": specification.num_warps, "num_stages": specification.num_stages}
    return triton.compile(source, target=GPUTarget("cuda", capability, 32), options=options)


def resources(specification: Specification, capability: int) -> Resources:
    """Compile for sm_`capability` and read what the kernel takes."""
    compiled = compile_ahead(specification, capability)
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(compiled.asm["cubin"])
        file.flush()
        command = [triton.knobs.nvidia.cuobjdump.path, "-res-usage", file.name]
        usage = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found = {
        name: [int(n) for n in re.findall(rf"\b{name}:(\d+)", usage)] for name in ("REG", "STACK", "LOCAL")
    }
    return Resources(
        name=specification.name,
        capability=capability,
        registers=max(found["REG"]),
        spilled_bytes=max(found["STACK"]) + max(found["LOCAL"]),
        shared_bytes=compiled.metadata.shared,
        access_bits=_accesses(compiled.asm["ptx"]),
    )


def _accesses(ptx: str) -> dict[str, int]:
    widths: Counter[str] = Counter()
    for kind, vector, bits in _ACCESS.findall(ptx):
        widths[f"{'store' if kind == 'st' else 'load'} {int(vector[1:] or 1) * int(bits)}"] += 1
    return dict(sorted(widths.items()))


def main(module: str, capabilities: str, *names: str) -> None:
    """Print a line of JSON for each of a module's specifications, or for the named ones."""
    for specification in importlib.import_module(module).specifications():
        if not names or specification.name in names:
            for capability in capabilities.split(","):
                found = resources(specification, int(capability))
                sys.stdout.write(json.dumps(asdict(found)) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
