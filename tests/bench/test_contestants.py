"""Contestants run under the same conditions."""

import resource

import numpy as np
import pytest

from rsseg_edge.bench import contestants
from rsseg_edge.bench.contestants import OURS, Contest, contest
from rsseg_edge.bundle import open_bundle
from rsseg_edge.engines.onnxruntime import OnnxRuntimeEngine

torch = pytest.importorskip("torch", reason="PyTorch takes part")


@pytest.fixture(autouse=True)
def _keep_threads():
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


@pytest.mark.parametrize("threads", [1, 2])
def test_pytorch_gets_as_many_threads_as_ours(threads: int) -> None:
    seen: list[int] = []

    class Network(torch.nn.Module):
        def forward(self, tokens: torch.Tensor) -> torch.Tensor:
            seen.append(torch.get_num_threads())
            return tokens + 1

    model = open_bundle("cris-tiny").read("text.onnx")
    inputs = {"tokens": np.ones((1, 24), np.int64)}
    engine = OnnxRuntimeEngine(model, threads=threads)
    torch.set_num_threads(3)  # whatever was before
    found = contest(lambda: engine.infer(inputs), model, inputs, threads, Network)
    assert {OURS, "PyTorch eager"} <= set(found.wall)
    assert set(seen) == {threads}


def test_a_runtime_that_takes_too_much_memory_is_absent_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    kibibytes = contestants._kibibytes
    monkeypatch.setattr(
        contestants, "_kibibytes", lambda file, key: 8 << 20 if key == "MemAvailable" else kibibytes(file, key)
    )  # 8 GiB are free
    before = resource.getrlimit(resource.RLIMIT_AS)

    class Greedy(torch.nn.Module):
        def forward(self, tokens: torch.Tensor) -> torch.Tensor:
            return torch.empty(5 << 30, dtype=torch.uint8)[: len(tokens)]  # never written to

    model = open_bundle("cris-tiny").read("text.onnx")
    inputs = {"tokens": np.ones((1, 24), np.int64)}
    engine = OnnxRuntimeEngine(model, threads=1)
    found = contest(lambda: engine.infer(inputs), model, inputs, 1, Greedy)
    assert found.absent["PyTorch eager"] == "takes more than half of the free memory, 4.3 GB"
    assert OURS in found.wall
    assert resource.getrlimit(resource.RLIMIT_AS) == before


def test_ratios_are_those_of_the_same_round() -> None:
    ours = np.linspace(1, 3, 15)  # the machine slows down
    found = Contest({OURS: ours, "other": 2 * ours}, {})
    assert found.ratio("other") == pytest.approx(2)
    assert found.ratio_spread("other") == pytest.approx(0.02)  # no less is claimed
