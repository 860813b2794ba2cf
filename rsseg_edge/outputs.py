"""Where a run's overlay goes: a file in the folder of the results, or what ``--to`` names; its classes as a video."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rsseg_edge.errors import UsageError
from rsseg_edge.postprocess.drawing import Drawing
from rsseg_edge.sinks.base import Sink
from rsseg_edge.sinks.class_video import ClassVideo
from rsseg_edge.sinks.destination import Destination, Kind, parse_destination
from rsseg_edge.sinks.klv_transport import KlvTransport, may_carry_klv
from rsseg_edge.sinks.overlay_video import OverlayVideo
from rsseg_edge.sinks.push import OverlayPush
from rsseg_edge.telemetry.klv_feed import KlvFeed
from rsseg_edge.telemetry.klv_stream import file_feed
from rsseg_edge.types import Report, VideoFormat


@dataclass(frozen=True)
class Outputs:
    """What is asked for.

    Attributes:
        to: URIs; see :func:`rsseg_edge.sinks.destination.parse_destination`. None of them stands for ``overlay.mp4``.
        megabits: most a second of what is pushed; None lets the picture decide.
        class_video: whether the class maps of a video are written as one without loss.
        coco: whether masks are written as a COCO file.

    Raises:
        UsageError: a URI that nothing can be sent to, or one that is there twice.
    """

    to: Sequence[str] = ()
    megabits: float | None = None
    class_video: bool = False
    coco: bool = False

    def __post_init__(self) -> None:
        found = self.destinations()
        if len(set(found)) < len(found):
            raise UsageError("--to names a destination twice")
        if sum(one.kind is Kind.page for one in found) > 1:
            raise UsageError("--to: one page is enough; it shows the run to any number of browsers")
        if self.megabits is not None and not any(one.kind in (Kind.transport_stream, Kind.rtsp) for one in found):
            raise UsageError("--max-mbit is for what is pushed: --to udp://... or rtsp://...")

    def destinations(self) -> list[Destination]:
        """Parsed, in their order."""
        return [parse_destination(uri) for uri in self.to]

    def refuse_images(self, where: str) -> None:
        """Raise UsageError where something is asked for that still images do not have."""
        if self.to:
            raise UsageError(f"--to is for videos, and {where} is none; -o takes a folder for images")
        if self.class_video:
            raise UsageError(f"--class-video is for videos, and {where} is none; --class-maps writes PNG")

    @property
    def page(self) -> str | None:
        """``[HOST]:PORT`` of the page that is among them."""
        return next((one.where for one in self.destinations() if one.kind is Kind.page), None)


def overlay_sinks(
    outputs: Outputs,
    drawing: Drawing,
    video: VideoFormat,
    where: Path,
    out: Path,
    *,
    threads: int,
    report: Report,
    say: Report,
    transport: str,
    klv: KlvFeed | None,
) -> list[Sink]:
    """The sinks of an overlay video, and of the class maps as one.

    Args:
        outputs: where it goes.
        drawing: draws it.
        video: what the input is like.
        where: the input.
        out: folder of the results.
        threads: cores that an encoder may use.
        report: told about what is left out.
        say: told where a receiver goes and comes back.
        transport: of RTSP, "tcp" or "udp".
        klv: of a live input; a file's is looked for here.

    Raises:
        UsageError: a file that would be written is the input.
    """
    sinks: list[Sink] = []
    if not outputs.to:
        sinks.append(_file(out / "overlay.mp4", drawing, video, where, threads, report, "give another folder with -o"))
        if may_carry_klv(where):
            sinks.append(KlvTransport(out / "overlay.ts", out / "overlay.mp4", where))
    for one in outputs.destinations():
        if one.kind is Kind.file:
            sinks.append(_file(one.path, drawing, video, where, threads, report, "give another --to"))
        elif one.kind is not Kind.page:
            if klv is None and one.kind is Kind.transport_stream and may_carry_klv(where):
                klv = file_feed(where)
            push = OverlayPush(
                one, video, drawing.on_video(video),
                threads=threads, say=say, transport=transport, megabits=outputs.megabits, klv=klv,
            )  # fmt: skip
            sinks.append(push)
    if outputs.class_video:
        sinks.append(ClassVideo(out / "classes.mkv", video, threads=threads, report=say))
    return sinks


def _file(
    target: Path, drawing: Drawing, video: VideoFormat, where: Path, threads: int, report: Report, way_out: str
) -> Sink:
    if target.exists() and where.exists() and target.samefile(where):
        raise UsageError(f"{target} is the input itself; {way_out}")
    if target.is_dir():
        raise UsageError(f"{target} is a folder; {way_out}")
    return OverlayVideo(target, video, drawing.on_video(video), threads=threads, report=report)
