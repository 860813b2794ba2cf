"""Pictures of the account: speed against accuracy, and the views on which int8 differs most."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from rsseg_edge.calibration.quantize import Quantized
from rsseg_edge.types import UInt8Array

WORST = 4
_DIFFERENT, _SAME = np.array([220, 30, 30], np.uint8), np.array([235, 235, 235], np.uint8)


def pareto_png(report: Mapping[str, Any]) -> bytes:
    """Milliseconds against accuracy of every mixture that was measured, and of the parent."""
    from matplotlib.figure import Figure

    mixtures: Sequence[Mapping[str, Any]] = report["mixtures"]
    figure = Figure(figsize=(7, 4.2), layout="constrained")
    axes = figure.subplots()
    chosen = len(report["blocks_in_float"])
    for mixture in mixtures:
        point = mixture["milliseconds"], 100 * mixture["agreement"]
        taken = mixture["blocks_in_float"] == chosen
        axes.plot(*point, "o", color="tab:blue" if taken else "0.6", markersize=9 if taken else 6)
        note = f"{mixture['blocks_in_float']} in float" + (", taken" if taken else "")
        note += "" if mixture["miou"] is None else f"\nmIoU {100 * mixture['miou']:.2f} %"
        axes.annotate(note, point, textcoords="offset points", xytext=(7, -4), fontsize=8, va="top")
    parent = report["milliseconds"]["parent in fp32"], 100.0
    axes.plot(*parent, "s", color="tab:red", markersize=8)
    note = "parent in fp32"
    if report["accuracy"] is not None:
        note += f"\nmIoU {100 * report['accuracy']['parent']['miou']:.2f} %"
    axes.annotate(note, parent, textcoords="offset points", xytext=(-8, 0), ha="right", va="top", fontsize=8)
    axes.margins(0.18)
    axes.set_xlabel("ms a view on this machine")
    axes.set_ylabel("agreement with the parent, %")
    axes.set_title(f"{report['bundle']} in int8 for {report['target']}: blocks given back to float", fontsize=10)
    axes.grid(color="0.9")
    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=110, format="png")
    return buffer.getvalue()


def worst_views(found: Quantized) -> list[tuple[float, UInt8Array]]:
    """The views that agree least, with their agreement: input, parent, int8 and difference side by side, RGB."""
    order = np.argsort(found.chosen.closeness.per_view)[:WORST]
    engines = found.subject.engines(found.graphs)
    pictures = []
    for index in order:
        view, parent = found.held[index], found.parents[index].class_map[0]
        child = found.subject.decide(engines, view).class_map[0]
        colors = found.subject.colors
        size = parent.shape
        differs = np.where((parent != child)[..., None], _DIFFERENT, _SAME)
        panels = [_fitted(view[0], size), colors[parent % len(colors)], colors[child % len(colors)], differs]
        gap = np.full((size[0], max(2, size[1] // 100), 3), 255, np.uint8)
        row = np.concatenate([part for panel in panels for part in (panel, gap)][:-1], axis=1)
        pictures.append((found.chosen.closeness.per_view[index], _narrow(row)))
    for engine in engines.values():
        engine.close()
    return pictures


def _fitted(image: UInt8Array, size: tuple[int, ...]) -> UInt8Array:
    import cv2

    return np.asarray(cv2.resize(image, (size[1], size[0]), interpolation=cv2.INTER_AREA), np.uint8)


def _narrow(image: UInt8Array, width: int = 1280) -> UInt8Array:
    import cv2

    if image.shape[1] <= width:
        return image
    height = round(image.shape[0] * width / image.shape[1])
    return np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def jpeg(image: UInt8Array) -> bytes:
    """An image, uint8 RGB, as a JPEG file."""
    import cv2

    return bytes(cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 82])[1])
