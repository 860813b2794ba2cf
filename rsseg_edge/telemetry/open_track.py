"""Which telemetry belongs to a video: KLV in it, or a file beside it."""

from __future__ import annotations

from pathlib import Path

from rsseg_edge.errors import RssegError, UsageError
from rsseg_edge.telemetry.flight_log import read_log
from rsseg_edge.telemetry.klv_stream import KlvStream, read_klv
from rsseg_edge.telemetry.srt import read_srt
from rsseg_edge.telemetry.track import Track
from rsseg_edge.types import Report, VideoFormat

LOGS = frozenset({".tlog", ".bin"})


def open_track(video: VideoFormat, sidecar: Path | None, offset: float, report: Report) -> Track:
    """The telemetry of a video.

    Args:
        video: its file, and what its pictures are like.
        sidecar: a DJI .SRT, a MAVLink .tlog or an ArduPilot .bin, or a video with KLV; None takes the KLV in the
            video, or else the .SRT of the same name beside it.
        offset: seconds from the log's first message to the video's first frame; 0 for what has the video's clock.
        report: told of packets that are damaged and left out.

    Raises:
        UsageError: there is no telemetry.
        RssegError: it cannot be read.
    """
    path = video.path
    if path is None:
        raise UsageError("--geo and --mosaic take the telemetry of a file; record the live stream, then map it")
    if sidecar is not None and not sidecar.is_file():
        raise UsageError(f"--telemetry {sidecar}: no such file")
    if sidecar is None:
        klv = _klv(path)
        if klv.records or klv.damaged:
            return _checked(path, klv, report)
        sidecar = next((p for s in (".SRT", ".srt") if (p := path.with_suffix(s)).is_file()), None)
    if sidecar is None:
        raise UsageError(
            f"{path}: no KLV in it and no {path.stem}.SRT beside it, so nobody knows where it looks; give a DJI .SRT, "
            f"a MAVLink .tlog or an ArduPilot .bin with --telemetry"
        )
    kind = sidecar.suffix.lower()
    if offset and kind not in LOGS:
        raise UsageError(f"--telemetry-offset is for the clock of a .tlog or .bin; {sidecar} has the video's")
    if kind == ".srt":
        return read_srt(sidecar, _start(path), video.width * float(video.pixel_aspect) / video.height)
    if kind in LOGS:
        return read_log(sidecar, _start(path), offset)
    klv = _klv(sidecar)
    if not klv.records and not klv.damaged:
        raise UsageError(f"--telemetry {sidecar}: no KLV in it; .srt, .tlog and .bin are known by their names")
    return _checked(sidecar, klv, report)


def _checked(path: Path, klv: KlvStream, report: Report) -> Track:
    total = len(klv.records) + klv.damaged
    if not klv.records:
        raise RssegError(f"{path}: all {total} KLV packets are damaged: checksum or structure is wrong")
    if klv.damaged:
        report(f"{path}: {klv.damaged} of {total} KLV packets are damaged (checksum or structure) and left out")
    return Track(str(path), klv.records)


def _klv(path: Path) -> KlvStream:
    import av

    try:
        return read_klv(path)
    except av.error.FFmpegError as error:
        raise RssegError(f"{path}: cannot be read ({error.strerror})") from None


def _start(path: Path) -> float:
    """Time of the first frame on the video's clock, in seconds."""
    import av

    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        return float((stream.start_time or 0) * stream.time_base)
