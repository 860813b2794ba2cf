"""The table of ``rsseg-export --list-engines``."""

from __future__ import annotations

from rsseg_edge.engines.cache import EngineCache, Record


def print_engines(cache: EngineCache | None = None) -> None:
    """What is kept, the newest first, on stdout; and the folder, to delete what is not wanted."""
    from rich.console import Console
    from rich.table import Table

    cache = cache or EngineCache()
    console = Console(width=max(200, Console().width))  # a line an engine, for grep too
    records = cache.records()
    if records:
        table = Table("model", "inputs", "built by", "for", "built", "MB", "agreement", "folder", box=None)
        for record in records:
            table.add_row(*_row(record))
        console.print(table)
    megabytes = sum(record.size for record in records) / 1e6
    console.print(f"{len(records)} engines, {megabytes:.0f} MB in {cache.root}", soft_wrap=True)


def _row(record: Record) -> tuple[str, ...]:
    identity = record.identity
    name = record.bundle + ("" if record.file == "model.onnx" else f", {record.file}")
    gpu = f"{identity.gpu} ({identity.capability}, {identity.processors} SMs)"
    built = f"{record.built}, {record.seconds:.0f} s"
    size = "refused" if record.refused else f"{record.size / 1e6:.1f}"
    agreement = f"{100 * record.agreement:.2f} % of {record.frames} frames"
    return name, identity.shapes, identity.runtime, gpu, built, size, agreement, identity.key
