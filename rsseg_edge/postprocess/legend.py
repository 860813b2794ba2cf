"""A legend: one swatch and name a class, on a dark box."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rsseg_edge.types import ClassTable, UInt8Array

BACKGROUND, TEXT = (24, 24, 24), (235, 235, 235)


def render_legend(table: ClassTable, drawn: Sequence[int], height: int, width: int) -> UInt8Array:
    """The box for an image of a given size, to be pasted into its top left corner.

    Text grows with the image; classes that do not fit below each other go into further columns, and what does not fit
    beside each other is cut off at the image's edge.

    Args:
        table: names and colours.
        drawn: indices of the classes that it lists.
        height: of the image, in pixels.
        width: of the image, in pixels.

    Returns:
        uint8 [h, w, 3] RGB with even sides, at most the size of the image; [0, 0, 3] where nothing is drawn.
    """
    import cv2

    font = cv2.FONT_HERSHEY_SIMPLEX
    line = min(max(12, min(height, width) // 24), 96)  # pixels a row
    scale, thick = line / 40, max(1, line // 24)
    rows = max(1, min(len(drawn), (height * 3 // 4 - line // 2) // line))
    columns = [drawn[i : i + rows] for i in range(0, len(drawn), rows)]
    texts = [max(cv2.getTextSize(table.names[k], font, scale, thick)[0][0] for k in column) for column in columns]
    full = (rows * line + line // 2, sum(texts) + len(columns) * 2 * line)
    box = np.full((*full, 3), BACKGROUND, dtype=np.uint8) if drawn else np.zeros((0, 0, 3), dtype=np.uint8)
    left = 0
    for column, text in zip(columns, texts, strict=True):
        for row, index in enumerate(column):
            top = line // 4 + row * line
            corner = (left + line // 2, top + line // 5)
            opposite = (corner[0] + line * 3 // 5, top + line * 4 // 5)
            cv2.rectangle(box, corner, opposite, table.colors[index], cv2.FILLED)
            baseline = (left + line * 3 // 2, top + line * 7 // 10)
            cv2.putText(box, table.names[index], baseline, font, scale, TEXT, thick, cv2.LINE_AA)
        left += text + 2 * line
    return box[: min(full[0], height) // 2 * 2, : min(full[1], width) // 2 * 2]
