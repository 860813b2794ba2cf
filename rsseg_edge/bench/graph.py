"""The graph that a segmenter spends its time in, with inputs as a frame of the video gives them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

from rsseg_edge.bench.contestants import Contest, contest
from rsseg_edge.bench.torch_network import torch_network
from rsseg_edge.bundle import Bundle, Manifest
from rsseg_edge.engines.base import Arrays
from rsseg_edge.engines.choose import EngineName, open_engine
from rsseg_edge.engines.graph_file import GraphFile, read_graph
from rsseg_edge.engines.onnx_file import read_signature
from rsseg_edge.segmenter import Segmenter
from rsseg_edge.segmenters.open_vocabulary import OpenVocabularySegmenter
from rsseg_edge.segmenters.referring import ReferringSegmenter


@dataclass(frozen=True)
class NetworkGraph:
    """A graph and its inputs.

    Attributes:
        file: the graph.
        in_float: what it was made from, where it is one of integers for a CPU: what other runtimes and other parts run.
        inputs: for one run of either.
        manifest: of its bundle.
    """

    file: GraphFile
    in_float: GraphFile
    inputs: Arrays
    manifest: Manifest

    @property
    def model(self) -> bytes:
        """The serialised ONNX model that other runtimes run."""
        return self.in_float.model

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Of the inputs, by name."""
        return {name: value.shape for name, value in self.inputs.items()}

    def contest(self, engine: EngineName, threads: int | None) -> Contest:
        """Run it through every runtime that is here; see :func:`rsseg_edge.bench.contestants.contest`."""
        ours = open_engine(self.file, threads=threads, engine=engine)
        module = cache(lambda: torch_network(self.manifest))
        found = contest(lambda: ours.infer(self.inputs), self.model, self.inputs, threads, module)
        ours.close()
        return found


def network_graph(segmenter: Segmenter, bundle: Bundle, in_float: Bundle, prepared: Any) -> NetworkGraph:
    """The graph of a bundle: of CRIS the one that sees the image.

    Args:
        segmenter: of the bundle.
        bundle: in the precision that is meant.
        in_float: the same where that is float, else what it was made from, as far as it is known.
        prepared: what the segmenter made of a frame.
    """
    if isinstance(segmenter, OpenVocabularySegmenter):
        name = "model.onnx"
        inputs: Arrays = {"crops": prepared.crops[:2], "text": segmenter.vocabulary.text}
    else:
        name = "vision.onnx" if isinstance(segmenter, ReferringSegmenter) else "model.onnx"
        file = read_graph(bundle, name)
        inputs = {read_signature(file.model, file.name).inputs[0].name: prepared}
    return NetworkGraph(read_graph(bundle, name), read_graph(in_float, name), inputs, bundle.manifest)
