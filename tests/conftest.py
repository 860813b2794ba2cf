"""A bundle that needs no training and videos that need no file: what the tests of the edge side run on."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import subprocess
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from loopback import free_port
from transport_sender import TransportSender

GOLDEN = Path(__file__).parents[2] / "shared" / "parity"
CLASSES = {"dark": [200, 40, 40], "middle": [40, 200, 40], "bright": [40, 40, 200]}


def levels_graph() -> bytes:
    """An ONNX graph whose class is red // 86 and whose confidence is green: what it gives is known for any image."""
    from onnx import TensorProto, helper, numpy_helper

    image = helper.make_tensor_value_info("image", TensorProto.UINT8, [1, "height", "width", 3])
    outputs = [
        helper.make_tensor_value_info(name, TensorProto.UINT8, [1, "height", "width"])
        for name in ("class_map", "confidence")
    ]
    constants = {"zero": 0, "one": 1}
    initializers = [numpy_helper.from_array(np.array(v, np.int64), k) for k, v in constants.items()]
    initializers.append(numpy_helper.from_array(np.array(86, np.int32), "step"))
    nodes = [
        helper.make_node("Gather", ["image", "zero"], ["red"], axis=3),
        helper.make_node("Gather", ["image", "one"], ["confidence"], axis=3),
        helper.make_node("Cast", ["red"], ["wide"], to=TensorProto.INT32),
        helper.make_node("Div", ["wide", "step"], ["class"]),
        helper.make_node("Cast", ["class"], ["class_map"], to=TensorProto.UINT8),
    ]
    graph = helper.make_graph(nodes, "levels", [image], outputs, initializers)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()


@pytest.fixture(scope="session")
def bundle(levels_bundle: Path) -> Path:
    """The bundle that is meant where no other is."""
    return levels_bundle


@pytest.fixture(scope="session")
def write_bundle(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Writes a bundle around a graph with the classes dark, middle and bright: name, graph, input; gives its folder."""

    def write(name: str, model: bytes, spec: dict[str, int]) -> Path:
        folder = tmp_path_factory.mktemp("bundles") / name
        folder.mkdir()
        (folder / "model.onnx").write_bytes(model)
        manifest = {
            "schema_version": 1,
            "name": name,
            "model": name,
            "config": {},
            "classes": [{"name": label, "color": color} for label, color in CLASSES.items()],
            "input": spec,
            "precision": {"name": "fp32"},
            "files": {"model.onnx": hashlib.sha256(model).hexdigest()},
        }
        (folder / "bundle.json").write_text(json.dumps(manifest))
        return folder

    return write


@pytest.fixture(scope="session")
def levels_bundle(write_bundle: Callable[..., Path]) -> Path:
    """A bundle folder around :func:`levels_graph`."""
    return write_bundle("levels", levels_graph(), {"multiple_of": 32, "image_long_side": 2048, "video_long_side": 512})


def picture(index: int, height: int, width: int) -> np.ndarray:
    """uint8 RGB: three vertical bands of red 40, 130 and 220 that wander; the green channel tells the index."""
    columns = (np.arange(width) + 2 * index) * 3 // max(1, width) % 3
    image = np.empty((height, width, 3), np.uint8)
    image[..., 0] = np.array([40, 130, 220], np.uint8)[columns]
    image[..., 1] = 60 + index * 7 % 120
    image[..., 2] = np.arange(height, dtype=np.uint8)[:, None] // 2
    return image


@pytest.fixture(scope="session")
def write_video() -> Callable[..., Path]:
    """Writes a video with given time stamps; see :func:`_write_video`."""
    return _write_video


def _write_video(
    path: Path,
    *,
    stamps: Sequence[int] = range(20),
    time_base: Fraction = Fraction(1, 25),
    size: tuple[int, int] = (96, 64),
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    audio: str | None = None,
    options: dict[str, str] | None = None,
) -> Path:
    """``size`` is width, height; ``options`` are the container's."""
    with av.open(str(path), "w", options=options or {}) as output:
        fast = {"preset": "ultrafast", "bf": "2"} if codec == "libx264" else {}  # frames out of order, as in the field
        stream = output.add_stream(codec, rate=25, options=fast)
        stream.width, stream.height, stream.pix_fmt = *size, pix_fmt
        stream.codec_context.time_base = time_base
        sound = output.add_stream(audio, rate=16000) if audio else None
        for index, stamp in enumerate(stamps):
            frame = av.VideoFrame.from_ndarray(picture(index, size[1], size[0]), format="rgb24")
            frame.pts, frame.time_base = stamp, time_base
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
        if sound is not None:
            for block in range(int(stamps[-1] * time_base * 16000) // 1024 + 1):
                tone = np.sin(np.arange(block * 1024, block * 1024 + 1024) / 9).astype(np.float32)[None] * 0.3
                samples = av.AudioFrame.from_ndarray(tone, format="fltp", layout="mono")
                samples.sample_rate, samples.pts, samples.time_base = 16000, block * 1024, Fraction(1, 16000)
                output.mux(sound.encode(samples))
            output.mux(sound.encode(None))
    return path


def stamps_of(path: Path) -> list[Fraction]:
    """Presentation times of the frames that PyAV decodes, in seconds."""
    with av.open(str(path)) as container:
        return [frame.pts * frame.time_base for frame in container.decode(video=0)]


@pytest.fixture(scope="session")
def read_stamps() -> Callable[[Path], list[Fraction]]:
    """See :func:`stamps_of`."""
    return stamps_of


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """An empty file system of 256 KiB."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        pytest.skip("mounting a small disk takes root")
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)]
    done = subprocess.run(mount, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"this machine does not mount a tmpfs: {done.stderr.strip()}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.fixture(scope="session")
def golden() -> Callable[[str], tuple[dict[str, Any], dict[str, Any]]]:
    """Tensors and settings of a golden file by name; skips where the vectors are not beside the checkout."""

    def load(name: str) -> tuple[dict[str, Any], dict[str, Any]]:
        path = GOLDEN / f"{name}.safetensors"
        if not path.is_file():
            pytest.skip(f"no golden vectors: {name}.safetensors is not in ../shared/parity")
        safetensors = pytest.importorskip("safetensors")
        with safetensors.safe_open(path, "pt") as file:
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
            return tensors, {key: json.loads(value) for key, value in file.metadata().items()}

    return load


@pytest.fixture(scope="session")
def small_tiny():
    """A small SegEarth-OV network with random weights and text features of 8 numbers."""
    torch = pytest.importorskip("torch")
    pytest.importorskip("open_clip")
    from rsseg_edge.models.segearth_ov.tiny import SegEarthOVTiny
    from rsseg_edge.models.segearth_ov.tiny.config import load_config

    config = load_config("segearth-ov-tiny")
    config = config.model_copy(
        update={
            "backbone": config.backbone.model_copy(update={"name": "lcnet_035", "weights": ""}),
            "vit": config.vit.model_copy(update={"size": 64, "width": 16, "layers": 2, "heads": 2}),
            "text": config.text.model_copy(update={"dim": 8}),
            "inference": config.inference.model_copy(update={"slide_crop": 64, "slide_stride": 32}),
        }
    )

    def build(upsampler=None):
        torch.manual_seed(0)
        network = SegEarthOVTiny(config, upsampler)
        network.text_mean.copy_(torch.linspace(-0.2, 0.2, 8))
        return network

    return build


class Sender:
    """Sends MPEG-TS over UDP on the loopback, a frame every 20 ms; each start begins a new stream."""

    def __init__(self) -> None:
        self.port = free_port(socket.SOCK_DGRAM)
        self.address = f"udp://127.0.0.1:{self.port}"
        self._thread: TransportSender | None = None

    def start(self) -> None:
        self._thread = TransportSender(lambda number: np.full((64, 96), number % 200 + 20, np.uint8), 50, self.port)
        self._thread.start()

    def stop(self) -> None:
        if self._thread is not None:
            self._thread.stop()
            self._thread = None


@pytest.fixture
def new_sender() -> Iterator[Callable[[], Sender]]:
    """Starts senders, each on a port of its own."""
    senders: list[Sender] = []

    def start() -> Sender:
        senders.append(Sender())
        senders[-1].start()
        return senders[-1]

    yield start
    for sender in senders:
        sender.stop()


@pytest.fixture
def sender(new_sender: Callable[[], Sender]) -> Sender:
    """One that sends."""
    return new_sender()
