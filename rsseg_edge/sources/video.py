"""A video file: decoded with FFmpeg, time stamps kept, what is damaged or missing said."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Any

from rsseg_edge.errors import RssegError, UsageError
from rsseg_edge.sources.base import Selection
from rsseg_edge.sources.pictures import Pictures
from rsseg_edge.sources.standard_input import StandardInput
from rsseg_edge.types import Frame, Report


class VideoFile:
    """The frames of a video file, upright and all of one size.

    Frames are turned by the rotation that the file asks for, and scaled to the first one's size where it changes on
    the way. A packet that cannot be decoded is passed over; how many there were is said at the end.

    Args:
        path: the file; None for standard input, whose time stamps are kept, but whose sound is not.
        selection: which frames are wanted.
        threads: cores that the decoder may use.
        report: told about damage that does not stop the rest.

    Raises:
        RssegError: not a video, or no frame of it can be decoded.
        UsageError: the selection begins after the last frame.
    """

    def __init__(self, path: Path | None, selection: Selection, *, threads: int, report: Report) -> None:
        import av

        self._path, self._selection, self._report = path or Path("-"), selection, report
        self._pipe = StandardInput() if path is None else None
        self._errors: Any = av.error.FFmpegError
        self._damaged = 0
        self._threads = threads
        self._open()
        rate = self._stream.average_rate or self._stream.guessed_rate or Fraction(25)
        self._rate = Fraction(rate)
        self._time_base = Fraction(self._stream.time_base)
        self._step = max(1, round(1 / (self._rate * self._time_base)))
        try:
            self._picked = self._pick()
            first = next(self._picked, None)
        except self._errors as error:
            self._check_interrupt()
            raise RssegError(f"{self._path}: {error.strerror}") from None
        self._check_interrupt()
        if first is None:
            if self._seen:
                raise UsageError(f"{self._path}: no frame after --start {selection.start:g} s")
            raise RssegError(f"{self._path}: no frame of its video can be decoded")
        self._picked = chain([first], self._picked)
        stem = "stdin" if path is None else path.stem
        self._pictures = Pictures(
            str(self._path), stem, path, self._stream, first[1], self._rate / selection.stride, self._time_base, report
        )
        self.video = self._pictures.video

    @property
    def expected(self) -> int | None:
        """Frames by the file's own account; None where it gives none."""
        chosen, stream = self._selection, self._stream
        seconds = float(stream.duration * self._time_base) if stream.duration else None
        if seconds is None and self._container.duration:
            seconds = self._container.duration / 1_000_000
        if seconds is None:
            return chosen.max_frames
        end = min(seconds, chosen.end) if chosen.end is not None else seconds
        frames = max(1, -(-round((end - chosen.start) * float(self._rate)) // chosen.stride))
        return min(frames, chosen.max_frames) if chosen.max_frames is not None else frames

    def frames(self) -> Iterator[Frame]:
        """See :class:`rsseg_edge.sources.base.Source`."""
        try:
            for index, picture, pts in self._picked:
                duration = (picture.duration or 0) * self._selection.stride or None
                yield self._pictures.frame(index, picture, pts, duration)
        except self._errors as error:
            if self._stopped:
                return
            raise RssegError(f"{self._path}: reading stopped after {self._seen} frames ({error.strerror})") from None
        if self._stopped:
            return
        if self._damaged:
            self._report(f"{self._path}: {self._damaged} damaged packets were passed over")
        self._check_end()

    def stop(self) -> None:
        """See :class:`rsseg_edge.sources.base.Source`; a file has no need of it."""
        if self._pipe is not None:
            self._pipe.end()

    def close(self) -> None:
        """Release the decoder and the file."""
        self._container.close()

    @property
    def _stopped(self) -> bool:
        return self._pipe is not None and self._pipe.ended

    def _check_interrupt(self) -> None:
        if self._pipe is not None:
            self._pipe.check()

    def _open(self) -> None:
        import av

        try:
            self._container = av.open(self._pipe or str(self._path))
        except self._errors as error:
            self._check_interrupt()
            raise RssegError(
                f"{self._path}: not a video that can be read, or cut short before its index ({error.strerror})"
            ) from None
        if not self._container.streams.video:
            raise RssegError(f"{self._path}: there is no video in it")
        self._stream = self._container.streams.video[0]
        self._stream.codec_context.thread_count = self._threads
        self._stream.thread_type = "AUTO" if self._threads > 1 else "NONE"
        self._seen = 0
        self._last_pts: int | None = None
        self._at_end = False

    def _pick(self) -> Iterator[tuple[int, Any, int]]:
        """Index, picture and time stamp of every frame that is selected."""
        chosen = self._selection
        origin = self._stream.start_time or 0
        start = origin + round(chosen.start / float(self._time_base))
        end = None if chosen.end is None else origin + round(chosen.end / float(self._time_base))
        index = self._seek(start) if chosen.start and self._pipe is None else 0
        taken = selected = 0
        for picture in self._decode():
            pts = self._time_stamp(picture)
            if end is not None and pts >= end:
                return
            if pts >= start:
                if selected % chosen.stride == 0:
                    yield index, picture, pts
                    taken += 1
                    if taken == chosen.max_frames:
                        return
                selected += 1
            index += 1
        self._at_end = True

    def _seek(self, start: int) -> int:
        """Go to a key frame at or before a time stamp; the index of the first frame that is decoded from there."""
        stamps = sorted(p.pts for p in self._container.demux(self._stream) if p.pts is not None)
        try:
            self._container.seek(start, stream=self._stream)
            first = next((p for p in self._container.demux(self._stream) if p.pts is not None), None)
            if first is not None and first.pts <= start and first.is_keyframe:
                self._container.seek(start, stream=self._stream)
                return bisect_left(stamps, first.pts)
        except self._errors:
            pass
        self._container.close()  # no index that could be trusted: read from the beginning
        self._open()
        return 0

    def _decode(self) -> Iterator[Any]:
        import av

        for packet in self._container.demux(self._stream):
            self._damaged += packet.is_corrupt
            try:
                pictures = packet.decode()
            except av.error.InvalidDataError:
                self._damaged += not packet.is_corrupt
                continue
            for picture in pictures:
                self._seen += 1
                yield picture

    def _time_stamp(self, picture: Any) -> int:
        """The picture's own, or where it has none or runs backwards, one that keeps the order."""
        pts = picture.pts
        if pts is None:
            pts = (self._stream.start_time or 0) if self._last_pts is None else self._last_pts + self._step
        elif self._last_pts is not None and pts <= self._last_pts:
            pts = self._last_pts + 1
        self._last_pts = int(pts)
        return self._last_pts

    def _check_end(self) -> None:
        """Say so where the file ends before its header says, or in the middle of a packet."""
        stream = self._stream
        if not self._at_end or self._last_pts is None:
            return
        if self._container.format.name == "mpegts" and self._pipe is None and _ends_inside_packet(self._path):
            raise RssegError(f"{self._path}: cut short inside a packet; {self._seen} frames could be read")
        if not stream.frames or not stream.duration:
            return
        promised = (stream.start_time or 0) + stream.duration
        if self._seen < stream.frames and self._last_pts + 2 * self._step < promised:
            raise RssegError(
                f"{self._path}: cut short: it promises {stream.frames} frames, but only {self._seen} could be read"
            )


def _ends_inside_packet(path: Path) -> bool:
    """Whether an MPEG transport stream of plain 188-byte packets is no whole number of them."""
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(189)
    return len(head) == 189 and head[0] == head[188] == 0x47 and size % 188 != 0
