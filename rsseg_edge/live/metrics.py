"""The state of a run's streams as Prometheus' text (exposition format 0.0.4): each metric once, a line a stream."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

Sample = tuple[str, str, dict[str, str], float]
"""Metric, its type, labels, value."""


def metrics_text(states: Mapping[str, Mapping[str, Any]]) -> str:
    """Text of the states that :meth:`rsseg_edge.live.board.Board.state` gives, by the streams' names."""
    kinds: dict[str, str] = {}
    lines: dict[str, list[str]] = {}
    for name, state in states.items():
        for metric, kind, labels, value in _samples(state):
            kinds[metric] = kind
            given = ",".join(f'{key}="{_escaped(text)}"' for key, text in {"stream": name, **labels}.items())
            lines.setdefault(metric, []).append(f"{metric}{{{given}}} {value:.10g}")
    return "".join(f"# TYPE {metric} {kinds[metric]}\n" + "\n".join(lines[metric]) + "\n" for metric in lines)


def _samples(state: Mapping[str, Any]) -> Iterator[Sample]:
    yield "rsseg_frames_total", "counter", {}, state["frames"]
    yield "rsseg_frame_rate", "gauge", {}, state["rate"]
    for stage, times in state["stages"].items():
        for quantile, key in (("0.5", "median_ms"), ("0.99", "p99_ms")):
            yield "rsseg_stage_seconds", "gauge", {"stage": stage, "quantile": quantile}, times[key] / 1e3
    for found in state["classes"]:
        yield "rsseg_class_share", "gauge", {"class": found["name"]}, found["share"]
    for push in state["pushes"]:
        to = {"to": push["name"]}
        yield "rsseg_push_up", "gauge", to, int(push["state"] == "streaming")
        yield "rsseg_push_frames_total", "counter", to, push["shown"]
        yield "rsseg_push_connections_total", "counter", to, push["connections"]
        for reason, count in push["dropped"].items():
            yield "rsseg_push_dropped_frames_total", "counter", {**to, "reason": reason}, count
    stream = state["stream"]
    if stream is None:
        return
    yield "rsseg_stream_connections_total", "counter", {}, stream["connections"]
    yield "rsseg_stream_up", "gauge", {}, int(stream["state"] == "streaming")
    for reason, count in stream["dropped"].items():
        yield "rsseg_dropped_frames_total", "counter", {"reason": reason}, count
    if stream["age"] is not None:
        yield "rsseg_age_seconds", "gauge", {}, stream["age"]


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ")
