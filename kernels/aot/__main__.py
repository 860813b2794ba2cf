"""Compile the Triton kernels to PTX, and report what they use of a GPU."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from rsseg_edge.kernels.aot.compile import Compiled, compile_all
from rsseg_edge.kernels.aot.report import write_table
from rsseg_edge.kernels.aot.variants import variants
from rsseg_edge.kernels.plan import TILES
from rsseg_edge.kernels.registry import ROOT


def main() -> None:
    """Parse, compile, write."""
    parser = argparse.ArgumentParser(prog="python -m rsseg_edge.kernels.aot", description=__doc__)
    parser.add_argument("--arch", nargs="+", default=["sm_80", "sm_87"], help="sm_80 and sm_87 ship")
    parser.add_argument("--out", type=Path, default=ROOT / "ptx", help="folder of the PTX, one below it for each arch")
    parser.add_argument("--only", default="", help="compile variants whose name contains this")
    parser.add_argument("--report", type=Path, help="write the resource table into this README.md; no PTX")
    arguments = parser.parse_args()
    compiled: list[Compiled] = []
    for name in arguments.arch:
        arch = int(name.removeprefix("sm_"))
        if arch not in TILES:
            parser.error(f"{name}: choose from {', '.join(f'sm_{a}' for a in TILES)}")
        try:
            built = compile_all([v for v in variants() if arguments.only in v.name], arch)
        except RuntimeError as error:
            parser.exit(1, f"{error}\n")
        compiled += built
        for c in built:
            print(f"sm_{arch} {c.variant.name}: {c.registers} registers, {c.shared} bytes of shared memory")
        if not arguments.report:
            write_ptx(built, arguments.out / f"sm_{arch}")
    if arguments.report:
        write_table(compiled, arguments.report)


def write_ptx(compiled: list[Compiled], folder: Path) -> None:
    """One .ptx a variant, and kernels.json with what a launcher must know.

    The first line of a .ptx repeats it as a comment, so that the plugins need no JSON.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for c in compiled:
        first = " ".join(f"{key}={value}" for key, value in c.metadata().items())
        (folder / f"{c.variant.name}.ptx").write_text(f"// rsseg {first}\n{c.ptx}")
    metadata = {c.variant.name: c.metadata() for c in compiled}
    (folder / "kernels.json").write_text(json.dumps(metadata, indent=1) + "\n")


if __name__ == "__main__":
    main()
