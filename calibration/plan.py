"""Which parts of a network become integers, and by which ranges: from that, the graphs."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np

from rsseg_edge.calibration.clipping import Method, Range, clip_range
from rsseg_edge.calibration.histogram import Histogram
from rsseg_edge.calibration.insert import quantize
from rsseg_edge.calibration.rounding import Rounding
from rsseg_edge.calibration.sites import Site
from rsseg_edge.calibration.steps import Target
from rsseg_edge.calibration.subject import Graphs


@dataclass(frozen=True, eq=False)
class Plan:
    """What could be quantised, and how.

    Attributes:
        graphs: in float32, by file name.
        sites: of each graph.
        kept: nodes that stay in float whatever comes, by graph, each with the reason.
        ranges: of each graph's tensors.
        roundings: of each graph's 1x1 convolutions, by node.
        target: what runs the graphs.
        method: how ranges are clipped.
    """

    graphs: Graphs
    sites: Mapping[str, tuple[Site, ...]]
    kept: Mapping[str, Mapping[str, str]]
    ranges: Mapping[str, Mapping[str, Histogram]]
    roundings: Mapping[str, Mapping[str, Rounding]]
    target: Target
    method: Method = "max"

    def blocks(self) -> tuple[str, ...]:
        """Names of the parts that are quantised or left in float together, in the order of the network."""
        return tuple(dict.fromkeys(self.block(g, site) for g, sites in self.sites.items() for site in sites))

    def block(self, graph: str, site: Site) -> str:
        """The block of a site; with the graph's name where there are several."""
        return site.block if len(self.graphs) == 1 else f"{graph.removesuffix('.onnx')}: {site.block}"

    def build(self, floats: Collection[str] = ()) -> Graphs:
        """The graphs with every site but those of some blocks quantised."""
        made = {}
        for name, graph in self.graphs.items():
            active = [site for site in self.sites[name] if self.block(name, site) not in floats]
            bounds = self.bounds(name, active)
            made[name] = quantize(graph, active, bounds, self.target, self.roundings[name]) if active else graph
        return made

    def bounds(self, graph: str, sites: Collection[Site]) -> dict[str, Range]:
        """Clipped ranges of the tensors that some sites read and give."""
        names = dict.fromkeys(name for site in sites for name in (site.activation, site.output))
        symmetric = self.target == "tensorrt"
        return {name: clip_range(self.ranges[graph][name], self.method, symmetric=symmetric) for name in names}


def measured_tensors(sites: Collection[Site]) -> list[str]:
    """What ranges have to be measured of."""
    return list(dict.fromkeys(name for site in sites for name in (site.activation, site.output)))


def without_unmeasured(
    sites: Collection[Site], ranges: Mapping[str, Histogram]
) -> tuple[tuple[Site, ...], dict[str, str]]:
    """Sites all of whose ranges are numbers, and the others with the reason: no NaN ever becomes a step."""
    good, bad = [], {}
    for site in sites:
        values = [ranges[name] for name in (site.activation, site.output)]
        if all(h.finite and np.isfinite(h.low) for h in values):
            good.append(site)
        else:
            bad[site.node] = "a value was not finite on the calibration images"
    return tuple(good), bad
