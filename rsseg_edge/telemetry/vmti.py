"""Local sets of targets and of remote terminals that ST 0601 nests: VMTI (ST 0903) and RVT (ST 0806)."""

from __future__ import annotations

from typing import Any

from rsseg_edge.telemetry.klv import KlvError, read_length, read_oid
from rsseg_edge.telemetry.values import LocalSet, each, imap, pack, parts, signed, text, uint, unsigned

OFFSET = imap(-19.2, 19.2)
SIGMA, RHO, SPEED = imap(0, 650), imap(-1, 1), imap(-900, 900)
DEVIATIONS = {
    "sigma_east": (2, SIGMA),
    "sigma_north": (2, SIGMA),
    "sigma_up": (2, SIGMA),
    "rho_east_north": (2, RHO),
    "rho_east_up": (2, RHO),
    "rho_north_up": (2, RHO),
}
LOCATION = pack(
    latitude=(4, imap(-90, 90)), longitude=(4, imap(-180, 180)), altitude=(2, imap(-900, 19000)), **DEVIATIONS
)
VELOCITY = pack(east=(2, SPEED), north=(2, SPEED), up=(2, SPEED), **DEVIATIONS)


def _runs(value: bytes) -> list[tuple[int, int]]:
    """Runs of a bit mask: first pixel, and how many."""
    runs = []
    for part in parts(value):
        size, position = read_length(part, 0, len(part))
        first = uint(part[position : position + size])
        run, position = _ber(part, position + size)
        if position != len(part):
            raise KlvError("bytes beyond a run")
        runs.append((first, run))
    return runs


def _ber(data: bytes, start: int) -> tuple[int, int]:
    """A number written as a BER length."""
    if start >= len(data):
        raise KlvError("cut short before a number")
    size = data[start] & 0x7F if data[start] & 0x80 else 0
    stop = start + 1 + size
    if size > 8 or stop > len(data):
        raise KlvError("a number of unusual form")
    return (int.from_bytes(data[start + 1 : stop], "big") if size else data[start]), stop


MASK = LocalSet("Target Mask", {1: ("Polygon", each(uint)), 2: ("Bitmask Series", _runs)})
OBJECT = LocalSet(
    "Target Object",
    {
        1: ("Ontology", text),
        2: ("Ontology Class", text),
        3: ("Ontology ID", uint),
        4: ("Confidence", imap(0, 100)),
    },
)
FEATURE = LocalSet("Target Features", {1: ("Schema", text), 2: ("Schema Feature", text)})
CHIP = LocalSet("Target Chip", {1: ("Image Type", text), 2: ("Image URI", text), 3: ("Embedded Image", bytes)})
TRACKER = LocalSet(
    "Target Tracker",
    {
        1: ("Track ID", bytes),
        2: ("Detection Status", uint),
        3: ("Start Time", uint),
        4: ("End Time", uint),
        5: ("Boundary Series", each(LOCATION)),
        6: ("Algorithm", text),
        7: ("Confidence Level", uint),
        8: ("Number of Track Points", uint),
        9: ("Track History Series", each(LOCATION)),
        10: ("Velocity", VELOCITY),
        11: ("Acceleration", VELOCITY),
        12: ("Algorithm ID", uint),
    },
)
TARGET = LocalSet(
    "Target",
    {
        1: ("Target Centroid", uint),
        2: ("Boundary Top Left", uint),
        3: ("Boundary Bottom Right", uint),
        4: ("Target Priority", uint),
        5: ("Target Confidence Level", uint),
        6: ("Target History", uint),
        7: ("Percentage of Target Pixels", uint),
        8: ("Target Color", uint),
        9: ("Target Intensity", uint),
        10: ("Target Location Offset Latitude", OFFSET),
        11: ("Target Location Offset Longitude", OFFSET),
        12: ("Target Height Above Ellipsoid", imap(-900, 19000)),
        13: ("Boundary Top Left Latitude Offset", OFFSET),
        14: ("Boundary Top Left Longitude Offset", OFFSET),
        15: ("Boundary Bottom Right Latitude Offset", OFFSET),
        16: ("Boundary Bottom Right Longitude Offset", OFFSET),
        17: ("Target Location", LOCATION),
        18: ("Target Boundary Series", each(LOCATION)),
        19: ("Centroid Pixel Row", uint),
        20: ("Centroid Pixel Column", uint),
        21: ("FPA Index Pack", pack(row=(1, uint), column=(1, uint))),
        22: ("Algorithm ID", uint),
        101: ("Target Mask", MASK),
        102: ("Target Object", OBJECT),
        103: ("Target Features", FEATURE),
        104: ("Target Tracker", TRACKER),
        105: ("Target Chip", CHIP),
        106: ("Chip Series", each(CHIP)),
        107: ("Object Series", each(OBJECT)),
    },
)


def _target(value: bytes) -> tuple[int, Any]:
    """A target's number, and its set."""
    number, position = read_oid(value, 0, len(value))
    return number, TARGET(value[position:])


ALGORITHM = LocalSet(
    "Algorithm",
    {1: ("ID", uint), 2: ("Name", text), 3: ("Version", text), 4: ("Class", text), 5: ("Frame Count", uint)},
)
ONTOLOGY = LocalSet(
    "Ontology",
    {1: ("ID", uint), 2: ("Parent ID", uint), 3: ("URI", text), 4: ("Class", text)},
)
VMTI = LocalSet(
    "VMTI Local Set",
    {
        1: ("Checksum", uint),
        2: ("Precision Timestamp", uint),
        3: ("VMTI System Name", text),
        4: ("VMTI LS Version", uint),
        5: ("Total Number of Targets Detected", uint),
        6: ("Number of Targets Reported", uint),
        7: ("Frame Number", uint),
        8: ("Frame Width", uint),
        9: ("Frame Height", uint),
        10: ("VMTI Source Sensor", text),
        11: ("VMTI Horizontal FOV", imap(0, 180)),
        12: ("VMTI Vertical FOV", imap(0, 180)),
        13: ("MIIS ID", bytes),
        101: ("VTarget Series", each(_target)),
        102: ("Algorithm Series", each(ALGORITHM)),
        103: ("Ontology Series", each(ONTOLOGY)),
    },
)
LATITUDE, LONGITUDE = signed(90, 4), signed(180, 4)
POINT = LocalSet(
    "Point of Interest Local Set",
    {
        1: ("POI Number", uint),
        2: ("POI Latitude", LATITUDE),
        3: ("POI Longitude", LONGITUDE),
        4: ("POI Altitude", unsigned(-900, 19000, 2)),
        5: ("POI Type", uint),
        6: ("POI Text", text),
        7: ("POI Source Icon", text),
        8: ("POI Source ID", text),
        9: ("POI Label", text),
        10: ("Operation ID", text),
    },
)
AREA = LocalSet(
    "Area of Interest Local Set",
    {
        1: ("AOI Number", uint),
        2: ("AOI Corner 1 Latitude", LATITUDE),
        3: ("AOI Corner 1 Longitude", LONGITUDE),
        4: ("AOI Corner 3 Latitude", LATITUDE),
        5: ("AOI Corner 3 Longitude", LONGITUDE),
        6: ("AOI Type", uint),
        7: ("AOI Text", text),
        8: ("AOI Source ID", text),
        9: ("AOI Label", text),
        10: ("Operation ID", text),
    },
)
RVT = LocalSet(
    "RVT Local Set",
    {
        1: ("CRC-32", uint),
        2: ("Timestamp", uint),
        3: ("Platform True Airspeed", uint),
        4: ("Platform Indicated Airspeed", uint),
        6: ("Frag Circle Radius", uint),
        7: ("Frame Code", uint),
        8: ("UAS LS Version Number", uint),
        9: ("Video Data Rate", uint),
        10: ("Digital Video File Format", text),
        11: ("User Defined Local Set", LocalSet("", {1: ("Numeric ID and Data Type", uint), 2: ("User Data", bytes)})),
        12: ("Point of Interest Local Set", POINT),
        13: ("Area of Interest Local Set", AREA),
        14: ("MGRS Zone", uint),
        15: ("MGRS Latitude Band and Grid Square", text),
        16: ("MGRS Easting", uint),
        17: ("MGRS Northing", uint),
        18: ("Frame Center MGRS Zone", uint),
        19: ("Frame Center MGRS Latitude Band and Grid Square", text),
        20: ("Frame Center MGRS Easting", uint),
        21: ("Frame Center MGRS Northing", uint),
    },
)
