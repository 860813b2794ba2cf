"""A small encoder of ST 0601 and ST 0104 packets, independent of the reader: what the tests read is written here."""

from __future__ import annotations

import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

UAS = bytes.fromhex("060e2b34020b01010e01030101000000")
UNIVERSAL = bytes.fromhex("060e2b34020101010e01010201010000")
ANGLES = {13: (90, 4), 14: (180, 4), 23: (90, 4), 24: (180, 4), 19: (180, 4), 6: (20, 2), 7: (50, 2)}
ANGLES |= {tag: (90 if tag % 2 == 0 else 180, 4) for tag in range(82, 90)}
RANGES = {5: (0, 360, 2), 15: (-900, 19000, 2), 16: (0, 180, 2), 17: (0, 180, 2), 18: (0, 360, 4), 20: (0, 360, 4)}
RANGES |= {21: (0, 5e6, 4), 25: (-900, 19000, 2), 45: (0, 4095, 2), 46: (0, 4095, 2)}


def ber(length: int) -> bytes:
    if length < 128:
        return bytes([length])
    size = (length.bit_length() + 7) // 8
    return bytes([0x80 | size]) + length.to_bytes(size, "big")


def item(tag: int, value: bytes) -> bytes:
    key = bytes([tag]) if tag < 128 else bytes([0x80 | tag >> 7, tag & 127])
    return key + ber(len(value)) + value


def scaled(tag: int, value: float) -> bytes:
    if tag in ANGLES:
        bound, size = ANGLES[tag]
        return round(value / bound * (256**size // 2 - 1)).to_bytes(size, "big", signed=True)
    low, high, size = RANGES[tag]
    return round((value - low) / (high - low) * (256**size - 1)).to_bytes(size, "big")


def local_set(values: dict[int, float], *, micros: int = 1_700_000_000_000_000, extra: bytes = b"") -> bytes:
    """An ST 0601 packet with its time stamp first and its checksum last."""
    body = item(2, micros.to_bytes(8, "big"))
    body += b"".join(item(tag, scaled(tag, value)) for tag, value in values.items()) + extra
    packet = UAS + ber(len(body) + 4) + body + b"\x01\x02"
    total = sum(byte << 8 if at % 2 == 0 else byte for at, byte in enumerate(packet)) & 0xFFFF
    return packet + total.to_bytes(2, "big")


UNIVERSAL_KEYS = {
    "latitude": "060e2b34010101030701020102040200",
    "longitude": "060e2b34010101030701020102060200",
    "altitude": "060e2b34010101010701020102020000",
    "to_north": "060e2b34010101010701100102000000",
    "obliquity": "060e2b34010101010701100103000000",
    "fov": "060e2b34010101020420020101080000",
}


def universal_set(values: dict[str, float]) -> bytes:
    body = b""
    for name, value in values.items():
        number = struct.pack(">d", value)
        body += bytes.fromhex(UNIVERSAL_KEYS[name]) + ber(len(number)) + number
    return UNIVERSAL + ber(len(body)) + body


def write_stream(path: Path, packets: list[bytes], *, rate: int = 5, timed: bool = True, split: int = 0) -> Path:
    """A transport stream of 96x64 pictures, each with a KLV packet of the same time before it.

    Args:
        timed: packets carry time stamps.
        split: packets are cut in two PES packets after so many bytes.
    """
    with av.open(str(path), "w", format="mpegts", options={"mpegts_copyts": "1"}) as output:
        video = output.add_stream("mpeg2video", rate=25)
        video.width, video.height, video.pix_fmt = 96, 64, "yuv420p"
        video.codec_context.time_base = Fraction(1, 25)
        video.codec_context.max_b_frames = 0
        data = output.add_data_stream("klv")
        for index, content in enumerate(packets):
            stamp = 90000 + index * 90000 // rate
            for piece in (content[:split], content[split:]) if split else (content,):
                packet = av.Packet(piece)
                packet.time_base = Fraction(1, 90000)
                packet.stream = data
                packet.pts = packet.dts = stamp
                output.mux(packet)
            image = np.full((64, 96, 3), 40 + index * 5 % 200, np.uint8)
            image[:, 48:] = 220
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = stamp * 25 // 90000, Fraction(1, 25)
            output.mux(video.encode(frame))
        output.mux(video.encode(None))
    if not timed:
        path.write_bytes(_without_stamps(path.read_bytes()))
    return path


def _without_stamps(stream: bytes) -> bytes:
    """A transport stream whose metadata PES packets carry no time stamps: FFmpeg's muxer always writes them."""
    data = bytearray(stream)
    for start in range(0, len(data), 188):
        at = data.find(b"\0\0\1\xfc", start, start + 188)
        if at >= 0 and data[at + 7] & 0xC0:
            data[at + 7] &= 0x3F
            data[at + 9 : at + 9 + data[at + 8]] = b"\xff" * data[at + 8]
    return bytes(data)
