"""Local sets that ST 0601 nests: security (ST 0102), SAR (1206), range image (1002), georegistration, composites."""

from __future__ import annotations

from typing import Any

from rsseg_edge.telemetry.klv import KlvError
from rsseg_edge.telemetry.values import LocalSet, array, imap, lengthed, oids, real, sint, text, uint

HALF_TURN, TURN, QUARTER = imap(-90, 90), imap(0, 360), imap(0, 90)
METRES = imap(0, 1e6)

SECURITY = LocalSet(
    "Security Local Set",
    {
        1: ("Security Classification", uint),
        2: ("Country Coding Method for Classifying Country and Releasing Instructions", uint),
        3: ("Classifying Country", text),
        4: ("SCI / SHI Information", text),
        5: ("Caveats", text),
        6: ("Releasing Instructions", text),
        7: ("Classified By", text),
        8: ("Derived From", text),
        9: ("Classification Reason", text),
        10: ("Declassification Date", text),
        11: ("Classification and Marking System", text),
        12: ("Country Coding Method for Object Country Codes", uint),
        13: ("Object Country Codes", text),
        14: ("Classification Comments", text),
        22: ("Version", uint),
        23: ("Version Date of the first Country Coding Method", text),
        24: ("Version Date of the second Country Coding Method", text),
    },
)
SAR = LocalSet(
    "SAR Motion Imagery Local Set",
    {
        1: ("Grazing Angle", QUARTER),
        2: ("Ground Plane Squint Angle", HALF_TURN),
        3: ("Look Direction", uint),
        4: ("Image Plane", uint),
        5: ("Range Resolution", METRES),
        6: ("Cross-Range Resolution", METRES),
        7: ("Range Image Plane Pixel Size", METRES),
        8: ("Cross-Range Image Plane Pixel Size", METRES),
        9: ("Image Rows", uint),
        10: ("Image Columns", uint),
        11: ("Range Direction Angle", TURN),
        12: ("True North", TURN),
        13: ("Range Layover Angle", TURN),
        14: ("Ground Aperture Angular Extent", QUARTER),
        15: ("Aperture Duration", uint),
        16: ("Ground Track Angle", TURN),
        17: ("Minimum Detectable Velocity", imap(0, 100)),
        18: ("True Pulse Repetition Frequency", METRES),
        19: ("Pulse Repetition Frequency Scale Factor", imap(0, 1)),
        20: ("Transmit RF Center Frequency", imap(0, 1e12)),
        21: ("Transmit RF Bandwidth", imap(0, 1e11)),
        22: ("Radar Cross Section Scale Factor Polynomial", array(METRES)),
        23: ("Reference Frame Precision Timestamp", uint),
        24: ("Reference Frame Grazing Angle", QUARTER),
        25: ("Reference Frame Ground Plane Squint Angle", HALF_TURN),
        26: ("Reference Frame Range Direction Angle", TURN),
        27: ("Reference Frame Range Layover Angle", TURN),
        28: ("Document Version", uint),
    },
)


def _enumerations(value: bytes) -> dict[str, int]:
    number = uint(value[:1])
    return {"compression": number & 7, "type": number >> 3 & 7, "source": number >> 6 & 1}


def _oid(value: bytes) -> int:
    found = oids(value)
    if len(found) != 1:
        raise KlvError("more than one number")
    return found[0]


RANGE_IMAGE = LocalSet(
    "Range Image Local Set",
    {
        1: ("Precision Timestamp", uint),
        11: ("Document Version", _oid),
        12: ("Range Image Enumerations", _enumerations),
        13: ("Range Measurement", real),
        14: ("Range Measurement Uncertainty", real),
        15: ("Range Measurement Row Coordinate", real),
        16: ("Range Measurement Column Coordinate", real),
        17: ("Number of Sections in X", _oid),
        18: ("Number of Sections in Y", _oid),
        19: ("Generalized Transformation Local Set", LocalSet("", {10: ("Document Version", uint)})),
        20: (
            "Section Data Pack",
            lengthed(
                section_x=_oid,
                section_y=_oid,
                measurements=array(real),
                uncertainty=array(real),
                plane_x_scale=real,
                plane_y_scale=real,
                plane_constant=real,
            ),
        ),
        21: ("Checksum", uint),
    },
)


def _deviations(*bounds: tuple[float, float]) -> Any:
    """An array of deviations and correlations, a row a quantity, each mapped to a range of its own."""

    def read(value: bytes) -> dict[str, Any]:
        whole = array(bytes)(value)
        rows, *rest = whole["sizes"]
        if len(rest) != 1 or rows > len(bounds) or any(not isinstance(e, bytes) for e in whole["elements"]):
            raise KlvError("deviations of an unusual form")
        mapped = [imap(*bounds[k // rest[0]])(element) for k, element in enumerate(whole["elements"])]
        return {"sizes": whole["sizes"], "elements": mapped}

    return read


def _uuid(value: bytes) -> bytes:
    if len(value) != 16:
        raise KlvError(f"an identifier of {len(value)} bytes")
    return value


RHO, PIXELS = (-1.0, 1.0), (0.0, 100.0)
GEO_REGISTRATION = LocalSet(
    "Geo-Registration Local Set",
    {
        1: ("Document Version", uint),
        2: ("Algorithm Name", text),
        3: ("Algorithm Version", text),
        4: ("Correspondence Points - Row / Column", array(uint)),
        5: ("Correspondence Points - Latitude / Longitude", array(real)),
        6: ("Second Image Name", text),
        7: ("Algorithm Configuration Identifier", _uuid),
        8: ("Correspondence Points - Elevation", array(real)),
        9: ("Correspondence Points SDCC - Row / Column", _deviations(PIXELS, PIXELS, RHO, PIXELS, PIXELS, RHO)),
        10: (
            "Correspondence Points SDCC - Latitude / Longitude / Elevation",
            _deviations((0.0, 650.0), (0.0, 650.0), RHO, (0.0, 1000.0), RHO, RHO),
        ),
    },
)
COMPOSITE_IMAGING = LocalSet(
    "Composite Imaging Local Set",
    {
        1: ("Precision Timestamp", uint),
        2: ("Document Version", uint),
        3: ("Source Image Rows", uint),
        4: ("Source Image Columns", uint),
        5: ("Source Image AOI Rows", uint),
        6: ("Source Image AOI Columns", uint),
        7: ("Source Image AOI Position X", sint),
        8: ("Source Image AOI Position Y", sint),
        9: ("Sub-Image Rows", uint),
        10: ("Sub-Image Columns", uint),
        11: ("Sub-Image Position X", sint),
        12: ("Sub-Image Position Y", sint),
        13: ("Active Sub-Image Rows", uint),
        14: ("Active Sub-Image Columns", uint),
        15: ("Active Sub-Image Offset X", sint),
        16: ("Active Sub-Image Offset Y", sint),
        17: ("Transparency", uint),
        18: ("Z-Order", uint),
    },
)
