"""Compiles variants, in a process of its own: a target that LLVM does not know aborts instead of raising."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rsseg_edge.kernels.aot.variants import Variant, launch_options


@dataclass(frozen=True)
class Compiled:
    """A variant for one architecture.

    Attributes:
        entry: the kernel's name inside the PTX.
        threads: of a block.
        shared: dynamic shared memory, bytes.
        registers, spills: of one thread; spills in bytes.
        blocks: compile-time block sizes, from which a launcher computes the grid.
    """

    variant: Variant
    arch: int
    ptx: str
    entry: str
    threads: int
    shared: int
    registers: int
    spills: int
    blocks: dict[str, int]

    def metadata(self) -> dict[str, Any]:
        """What a launcher must know."""
        return {"entry": self.entry, "threads": self.threads, "shared": self.shared, **self.blocks}


def compile_all(variants: list[Variant], arch: int) -> list[Compiled]:
    """Compile for one architecture.

    Raises:
        RuntimeError: the compiler failed, a kernel wants scratch memory, or registers spill.
    """
    jobs = json.dumps([asdict(v) for v in variants])
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "compiled.json"
        child = [sys.executable, "-m", __name__, str(arch), jobs, str(out)]
        # Not where the caller stands: in a checkout, `-m` would find the sources without the folders mapped below them.
        ran = subprocess.run(child, cwd=folder, capture_output=True, text=True, check=False)
        if ran.returncode or not out.exists():
            reason = (ran.stderr.strip() or f"exit status {ran.returncode}").splitlines()[-1]
            raise RuntimeError(f"sm_{arch}: the Triton compiler failed: {reason}")
        results = json.loads(out.read_text())
    compiled = [Compiled(variant=v, arch=arch, **r) for v, r in zip(variants, results, strict=True)]
    for c in compiled:
        if c.spills:
            reason = f"{c.variant.name} spills {c.spills} bytes of registers"
            raise RuntimeError(f"sm_{arch}: {reason}: choose smaller blocks in plan.py")
    return compiled


def _compile(variant: Variant, arch: int) -> dict[str, Any]:
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    fixed, signature = variant.constants(arch), variant.signature(arch)
    names = list(signature)
    aligned = {(i,): [["tt.divisibility", 16]] for i in variant.aligned(arch)}
    source = ASTSource(variant.function(), signature, {(names.index(k),): v for k, v in fixed.items()}, aligned)
    built = triton.compile(source, target=GPUTarget("cuda", arch, 32), options=launch_options(variant, arch))
    metadata = built.metadata
    for scratch in ("global_scratch_size", "profile_scratch_size"):
        if getattr(metadata, scratch, 0):
            raise RuntimeError(f"{variant.name}: {scratch} is {getattr(metadata, scratch)}, the launchers pass none")
    registers, spills = _resources(built.asm["cubin"])
    # Debug sections name the files of the machine that compiled.
    ptx = re.sub(r"\n\t?\.(loc|file)\b[^\n]*", "", built.asm["ptx"].split("\n\t.section\t.debug")[0])
    return {
        "ptx": ptx.rstrip() + "\n",
        "entry": metadata.name,
        "threads": 32 * metadata.num_warps,
        "shared": metadata.shared,
        "registers": registers,
        "spills": spills,
        "blocks": {k: v for k, v in fixed.items() if k.startswith("BLOCK_")},
    }


def _resources(cubin: bytes) -> tuple[int, int]:
    """Registers of a thread, and bytes that it spills to local memory."""
    import triton.backends.nvidia as nvidia

    tool = Path(nvidia.__path__[0]) / "bin" / "cuobjdump"
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(cubin)
        file.flush()
        report = subprocess.run([tool, "-res-usage", file.name], capture_output=True, text=True, check=True).stdout
    numbers = {key: int(value) for key, value in re.findall(r"(REG|STACK|LOCAL):(\d+)", report)}
    return numbers["REG"], numbers["STACK"] + numbers["LOCAL"]


if __name__ == "__main__":
    arch_, jobs_, out_ = sys.argv[1:]
    results_ = [_compile(Variant(**job), int(arch_)) for job in json.loads(jobs_)]
    Path(out_).write_text(json.dumps(results_))
