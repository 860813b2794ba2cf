"""The account of a quantisation as data: what was kept higher and why, what it cost class by class, what it gained."""

from __future__ import annotations

import importlib.metadata
import math
from typing import Any

from rsseg_edge.calibration.clipping import clip_range
from rsseg_edge.calibration.histogram import Histogram
from rsseg_edge.calibration.quantize import Quantized, Settings
from rsseg_edge.calibration.search import Rung
from rsseg_edge.calibration.steps import WEIGHT_LEVEL
from rsseg_edge.evaluation.confusion import ConfusionMatrix
from rsseg_edge.evaluation.report import to_json
from rsseg_edge.machine import has_vnni, processor


def account(found: Quantized, settings: Settings, name: str, classes: tuple[str, ...]) -> dict[str, Any]:
    """``report.json``; everything in it is ready for ``json.dumps``.

    Args:
        found: the outcome.
        settings: that it was asked for with.
        name: of the bundle.
        classes: names in the order of the class map.
    """
    plan, chosen = found.plan, found.chosen
    floats = set(chosen.floats)
    returned = {
        f"{graph}: {site.node}": "its block costs too much"
        for graph, sites in plan.sites.items()
        for site in sites
        if plan.block(graph, site) in floats
    }
    kept = {f"{graph}: {node}": why for graph, nodes in plan.kept.items() for node, why in nodes.items()}
    quantized = {
        graph: [s.node for s in sites if plan.block(graph, s) not in floats] for graph, sites in plan.sites.items()
    }
    return {
        "bundle": name,
        "target": plan.target,
        "activations": "int8, symmetric" if plan.target == "tensorrt" else "uint8, asymmetric",
        "weights": f"int8 from -{WEIGHT_LEVEL} to {WEIGHT_LEVEL}, per output channel",
        "calibration": found.described,
        "method": plan.method,
        "error_by_method": dict(found.errors),
        "smoothed_layer_norms": found.smoothed,
        "quantized": quantized,
        "kept_higher": {**kept, **returned, **found.subject.left},
        "blocks_in_float": list(chosen.floats),
        "agreement": chosen.closeness.agreement,
        "confusion_moved": moved(chosen, classes),
        "accuracy": _accuracy(found.parent_matrix, found.matrix),
        "max_drop": settings.max_drop,
        "sensitivity": {
            block: {"agreement": close.agreement, "error": close.error} for block, close in found.alone.items()
        },
        "mixtures": [_mixture(rung) for rung in found.rungs],
        "milliseconds": dict(found.times),
        "ranges": {
            graph: {tensor: _range(h, plan.method, plan.target == "tensorrt") for tensor, h in tensors.items()}
            for graph, tensors in plan.ranges.items()
        },
        "machine": {
            "processor": processor(),
            "vnni": has_vnni(),
            "onnxruntime": importlib.metadata.version("onnxruntime"),
        },
    }


def moved(rung: Rung, classes: tuple[str, ...]) -> list[dict[str, Any]]:
    """Pixels that another class gets than the parent gives, most first."""
    total = max(1, sum(map(sum, rung.closeness.confusion)))
    pairs = [
        {"parent": classes[i], "int8": classes[j], "share": count / total}
        for i, row in enumerate(rung.closeness.confusion)
        for j, count in enumerate(row)
        if i != j and count
    ]
    return sorted(pairs, key=lambda pair: -pair["share"])


def _accuracy(parent: ConfusionMatrix | None, child: ConfusionMatrix | None) -> dict[str, Any] | None:
    if parent is None or child is None:
        return None
    return {"parent": to_json(parent), "int8": to_json(child), "drop": 100 * (parent.miou - child.miou)}


def _mixture(rung: Rung) -> dict[str, Any]:
    return {
        "blocks_in_float": len(rung.floats),
        "agreement": rung.closeness.agreement,
        "error": rung.closeness.error,
        "milliseconds": rung.milliseconds,
        "miou": rung.miou,
    }


def _range(histogram: Histogram, method: Any, symmetric: bool) -> dict[str, Any]:
    if not histogram.finite or not math.isfinite(histogram.low):
        return {"finite": False}
    low, high = clip_range(histogram, method, symmetric=symmetric)
    return {"least": histogram.low, "greatest": histogram.high, "low": low, "high": high}
