"""The UAS datalink local set, MISB ST 0601 (tags of 0601.17), with the sets that it nests."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from rsseg_edge.telemetry.klv import KlvError, packet_value, read_length, read_oid
from rsseg_edge.telemetry.nested_sets import COMPOSITE_IMAGING, GEO_REGISTRATION, RANGE_IMAGE, SAR, SECURITY
from rsseg_edge.telemetry.values import (
    LocalSet,
    Reader,
    each,
    flags,
    imap,
    lengthed,
    oids,
    pack,
    parts,
    real,
    signed,
    sint,
    text,
    uint,
    unsigned,
)
from rsseg_edge.telemetry.vmti import RVT, VMTI

ANGLE, LATITUDE, LONGITUDE = unsigned(0, 360, 2), signed(90, 4), signed(180, 4)
ALTITUDE, PRESSURE, OFFSET = unsigned(-900, 19000, 2), unsigned(0, 5000, 2), signed(0.075, 2)
HEIGHT, RATE, PERCENT = imap(-900, 40000), imap(-1000, 1000), imap(0, 100)
LOCATION = pack(latitude=(4, imap(-90, 90)), longitude=(4, imap(-180, 180)), altitude=(3, imap(-900, 9000)))


def decode(packet: bytes, only: Collection[int] | None = None) -> list[tuple[int, Any]]:
    """Tags and values of a packet in order; ``only`` as for :class:`rsseg_edge.telemetry.values.LocalSet`.

    Raises:
        KlvError: it is no sound local set. The checksum is :func:`rsseg_edge.telemetry.klv.check_packet`'s concern.
    """
    return UAS(packet_value(packet), only)


def _sdcc(value: bytes) -> dict[str, Any]:
    """ST 1010's standard deviations of the items that stand before it, and their correlations, row by row."""
    end = len(value)
    size, position = read_oid(value, 0, end)
    control_at = position
    control, position = read_oid(value, position, end)
    if position - control_at > 1:
        sigma_size, rho_size = control & 15, control >> 7 & 15
        sigma_imap, rho_imap, sparse = control >> 4 & 1, control >> 11 & 1, control >> 12 & 1
    else:
        sigma_size, sparse, rho_size = control >> 4 & 7, control >> 3 & 1, control & 7
        sigma_imap, rho_imap = 0, 1
    if not 1 <= size <= 64 or sigma_imap:  # ST 0601 gives no range for deviations that are mapped
        raise KlvError("deviations of an unusual form")
    count = size * (size - 1) // 2
    present = [True] * count
    if sparse:
        bits = value[position : position + (count + 7) // 8]
        if len(bits) * 8 < count:
            raise KlvError("deviations cut short")
        present = [bool(bits[k // 8] & 0x80 >> k % 8) for k in range(count)]
        position += len(bits)
    rho_reader = imap(-1, 1) if rho_imap else real
    sigma, rho = [], []
    for _ in range(size if sigma_size else 0):
        sigma.append(real(value[position : position + sigma_size]))
        position += sigma_size
    for there in present if rho_size else ():
        rho.append(rho_reader(value[position : position + rho_size]) if there else 0.0)
        position += rho_size if there else 0
    if position != end:
        raise KlvError("bytes beyond the deviations")
    return {"size": size, "sigma": sigma, "rho": rho}


def _miis(value: bytes) -> dict[str, Any]:
    """ST 1204's core identifier: which of the four 16-byte identifiers are there, and how they came to be."""
    if len(value) < 2:
        raise KlvError("an identifier cut short")
    version, usage, rest = value[0], value[1], value[2:]
    types = {"sensor": usage >> 5 & 3, "platform": usage >> 3 & 3, "window": usage >> 2 & 1, "minor": usage >> 1 & 1}
    found: dict[str, Any] = {"version": version, "sensor_type": types["sensor"], "platform_type": types["platform"]}
    for name, there in types.items():
        found[name] = rest[:16] if there else None
        rest = rest[16:] if there else rest
        if there and len(found[name]) < 16:
            raise KlvError("an identifier cut short")
    return found


def _command(value: bytes) -> dict[str, Any]:
    number, position = read_oid(value, 0, len(value))
    length, position = read_length(value, position, len(value))
    rest = value[position + length :]
    return {"id": number, "text": text(value[position : position + length]), "timestamp": uint(rest) if rest else None}


def _named(*fields: str) -> Reader:
    """A pack of BER-OID numbers with a text at its end that has a length."""

    def read(value: bytes) -> dict[str, Any]:
        found: dict[str, Any] = {}
        position = 0
        for name in fields:
            found[name], position = read_oid(value, position, len(value))
        length, position = read_length(value, position, len(value))
        found["name"] = text(value[position : position + length])
        return found

    return read


def _weapon(value: bytes) -> dict[str, Any]:
    found: dict[str, Any] = _named("station", "hardpoint", "carriage", "store", "status")(value)
    status = found.pop("status")
    return {**found, "general": status & 0xFF, "engagement": [k for k in range(4) if status >> (8 + k) & 1]}


def _payloads(value: bytes) -> list[Any]:
    _, position = read_oid(value, 0, len(value))
    payload = _named("id", "type")
    return [payload(part) for part in parts(value[position:])]


def _frame_rate(value: bytes) -> tuple[int, int]:
    found = oids(value)
    if not 1 <= len(found) <= 2:
        raise KlvError("a frame rate of unusual form")
    return found[0], (*found, 1)[1]


def _airbases(value: bytes) -> dict[str, Any]:
    both = parts(value)
    places = [LOCATION(part) if part else None for part in both]
    return {"take_off": places[0], "recovery": places[1] if len(places) > 1 else places[0]}


def _view_domain(value: bytes) -> list[Any]:
    """Start and range of azimuth, elevation and roll, in degrees; None where one is missing."""
    starts = (imap(0, 360), imap(-180, 180), imap(0, 360))
    found: list[Any] = []
    for start, part in zip(starts, parts(value), strict=False):
        half = len(part) // 2
        found.append((start(part[:half]), imap(0, 360)(part[half:])) if part else None)
    return [*found, *[None] * (3 - len(found))]


WAVELENGTH = pack(id=(None, uint), min=(4, imap(0, 1e9)), max=(4, imap(0, 1e9)), name=(0, text))
WAYPOINT = pack(id=(None, uint), order=(2, sint), info=(1, flags), location=(0, LOCATION))
HORIZON = pack(x0=(1, uint), y0=(1, uint), x1=(1, uint), y1=(1, uint), places=(0, bytes))
COUNTRIES = lengthed(method=uint, overflight=text, operator=text, manufacture=text)

ITEMS: dict[int, tuple[str, Reader]] = {
    1: ("Checksum", uint),
    2: ("Precision Timestamp", uint),
    3: ("Mission ID", text),
    4: ("Platform Tail Number", text),
    5: ("Platform Heading Angle", ANGLE),
    6: ("Platform Pitch Angle", signed(20, 2)),
    7: ("Platform Roll Angle", signed(50, 2)),
    8: ("Platform True Airspeed", unsigned(0, 255, 1)),
    9: ("Platform Indicated Airspeed", unsigned(0, 255, 1)),
    10: ("Platform Designation", text),
    11: ("Image Source Sensor", text),
    12: ("Image Coordinate System", text),
    13: ("Sensor Latitude", LATITUDE),
    14: ("Sensor Longitude", LONGITUDE),
    15: ("Sensor True Altitude", ALTITUDE),
    16: ("Sensor Horizontal Field of View", unsigned(0, 180, 2)),
    17: ("Sensor Vertical Field of View", unsigned(0, 180, 2)),
    18: ("Sensor Relative Azimuth Angle", unsigned(0, 360, 4)),
    19: ("Sensor Relative Elevation Angle", signed(180, 4)),
    20: ("Sensor Relative Roll Angle", unsigned(0, 360, 4)),
    21: ("Slant Range", unsigned(0, 5e6, 4)),
    22: ("Target Width", unsigned(0, 1e4, 2)),
    23: ("Frame Center Latitude", LATITUDE),
    24: ("Frame Center Longitude", LONGITUDE),
    25: ("Frame Center Elevation", ALTITUDE),
    26: ("Offset Corner Latitude Point 1", OFFSET),
    27: ("Offset Corner Longitude Point 1", OFFSET),
    28: ("Offset Corner Latitude Point 2", OFFSET),
    29: ("Offset Corner Longitude Point 2", OFFSET),
    30: ("Offset Corner Latitude Point 3", OFFSET),
    31: ("Offset Corner Longitude Point 3", OFFSET),
    32: ("Offset Corner Latitude Point 4", OFFSET),
    33: ("Offset Corner Longitude Point 4", OFFSET),
    34: ("Icing Detected", uint),
    35: ("Wind Direction", ANGLE),
    36: ("Wind Speed", unsigned(0, 100, 1)),
    37: ("Static Pressure", PRESSURE),
    38: ("Density Altitude", ALTITUDE),
    39: ("Outside Air Temperature", signed(127, 1)),
    40: ("Target Location Latitude", LATITUDE),
    41: ("Target Location Longitude", LONGITUDE),
    42: ("Target Location Elevation", ALTITUDE),
    43: ("Target Track Gate Width", unsigned(0, 510, 1)),
    44: ("Target Track Gate Height", unsigned(0, 510, 1)),
    45: ("Target Error Estimate - CE90", unsigned(0, 4095, 2)),
    46: ("Target Error Estimate - LE90", unsigned(0, 4095, 2)),
    47: ("Generic Flag Data", flags),
    48: ("Security Local Set", SECURITY),
    49: ("Differential Pressure", PRESSURE),
    50: ("Platform Angle of Attack", signed(20, 2)),
    51: ("Platform Vertical Speed", signed(180, 2)),
    52: ("Platform Sideslip Angle", signed(20, 2)),
    53: ("Airfield Barometric Pressure", PRESSURE),
    54: ("Airfield Elevation", ALTITUDE),
    55: ("Relative Humidity", unsigned(0, 100, 1)),
    56: ("Platform Ground Speed", unsigned(0, 255, 1)),
    57: ("Ground Range", unsigned(0, 5e6, 4)),
    58: ("Platform Fuel Remaining", unsigned(0, 1e4, 2)),
    59: ("Platform Call Sign", text),
    60: ("Weapon Load", uint),
    61: ("Weapon Fired", uint),
    62: ("Laser PRF Code", uint),
    63: ("Sensor Field of View Name", uint),
    64: ("Platform Magnetic Heading", ANGLE),
    65: ("UAS Datalink LS Version Number", uint),
    67: ("Alternate Platform Latitude", LATITUDE),
    68: ("Alternate Platform Longitude", LONGITUDE),
    69: ("Alternate Platform Altitude", ALTITUDE),
    70: ("Alternate Platform Name", text),
    71: ("Alternate Platform Heading", ANGLE),
    72: ("Event Start Time", uint),
    73: ("RVT Local Set", RVT),
    74: ("VMTI Local Set", VMTI),
    75: ("Sensor Ellipsoid Height", ALTITUDE),
    76: ("Alternate Platform Ellipsoid Height", ALTITUDE),
    77: ("Operational Mode", uint),
    78: ("Frame Center Height Above Ellipsoid", ALTITUDE),
    79: ("Sensor North Velocity", signed(327, 2)),
    80: ("Sensor East Velocity", signed(327, 2)),
    81: ("Image Horizon Pixel Pack", HORIZON),
    82: ("Corner Latitude Point 1 (Full)", LATITUDE),
    83: ("Corner Longitude Point 1 (Full)", LONGITUDE),
    84: ("Corner Latitude Point 2 (Full)", LATITUDE),
    85: ("Corner Longitude Point 2 (Full)", LONGITUDE),
    86: ("Corner Latitude Point 3 (Full)", LATITUDE),
    87: ("Corner Longitude Point 3 (Full)", LONGITUDE),
    88: ("Corner Latitude Point 4 (Full)", LATITUDE),
    89: ("Corner Longitude Point 4 (Full)", LONGITUDE),
    90: ("Platform Pitch Angle (Full)", signed(90, 4)),
    91: ("Platform Roll Angle (Full)", signed(90, 4)),
    92: ("Platform Angle of Attack (Full)", signed(90, 4)),
    93: ("Platform Sideslip Angle (Full)", signed(180, 4)),
    94: ("MIIS Core Identifier", _miis),
    95: ("SAR Motion Imagery Local Set", SAR),
    96: ("Target Width Extended", imap(0, 1.5e6)),
    97: ("Range Image Local Set", RANGE_IMAGE),
    98: ("Geo-Registration Local Set", GEO_REGISTRATION),
    99: ("Composite Imaging Local Set", COMPOSITE_IMAGING),
    102: ("SDCC-FLP", _sdcc),
    103: ("Density Altitude Extended", HEIGHT),
    104: ("Sensor Ellipsoid Height Extended", HEIGHT),
    105: ("Alternate Platform Ellipsoid Height Extended", HEIGHT),
    106: ("Stream Designator", text),
    107: ("Operational Base", text),
    108: ("Broadcast Source", text),
    109: ("Range to Recovery Location", imap(0, 21000)),
    110: ("Time Airborne", uint),
    111: ("Propulsion Unit Speed", uint),
    112: ("Platform Course Angle", imap(0, 360)),
    113: ("Altitude Above Ground Level", HEIGHT),
    114: ("Radar Altimeter", HEIGHT),
    115: ("Control Command", _command),
    116: ("Control Command Verification List", oids),
    117: ("Sensor Azimuth Rate", RATE),
    118: ("Sensor Elevation Rate", RATE),
    119: ("Sensor Roll Rate", RATE),
    120: ("On-board MI Storage Percent Full", PERCENT),
    121: ("Active Wavelength List", oids),
    122: ("Country Codes", COUNTRIES),
    123: ("Number of NAVSATs in View", uint),
    124: ("Positioning Method Source", flags),
    125: ("Platform Status", uint),
    126: ("Sensor Control Mode", uint),
    127: ("Sensor Frame Rate Pack", _frame_rate),
    128: ("Wavelengths List", each(WAVELENGTH)),
    129: ("Target ID", text),
    130: ("Airbase Locations", _airbases),
    131: ("Take-off Time", uint),
    132: ("Transmission Frequency", imap(1, 99999)),
    133: ("On-board MI Storage Capacity", uint),
    134: ("Zoom Percentage", PERCENT),
    135: ("Communications Method", text),
    136: ("Leap Seconds", sint),
    137: ("Correction Offset", sint),
    138: ("Payload List", _payloads),
    139: ("Active Payloads", flags),
    140: ("Weapons Stores", each(_weapon)),
    141: ("Waypoint List", each(WAYPOINT)),
    142: ("View Domain", _view_domain),
}
CHILD = LocalSet("Segment or Amend Local Set", ITEMS)  # of one level: what ST 1607 nests deeper stays bytes
UAS = LocalSet(
    "UAS Datalink Local Set",
    {**ITEMS, 100: ("Segment Local Set", CHILD), 101: ("Amend Local Set", CHILD)},
)
