"""A model repository of the Triton Inference Server: a folder a graph, with its configuration, versions and labels.

https://github.com/triton-inference-server/server/blob/main/docs/user_guide/model_repository.md; field names are those
of ``model_config.proto``.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from rsseg_edge.bundle import Bundle
from rsseg_edge.engines.onnx_file import Signature, TensorInfo, read_signature
from rsseg_edge.errors import RssegError, UsageError
from rsseg_edge.export.request import Say
from rsseg_edge.sinks.part_file import write_synced

CONFIG, LABELS = "config.pbtxt", "labels.txt"
_TYPES = {
    "float32": "TYPE_FP32",
    "float16": "TYPE_FP16",
    "uint8": "TYPE_UINT8",
    "int8": "TYPE_INT8",
    "int32": "TYPE_INT32",
    "int64": "TYPE_INT64",
    "bool": "TYPE_BOOL",
}


def write_repository(bundle: Bundle, folder: Path, say: Say) -> None:
    """Add a bundle's graphs to a model repository, each as the next version of its model.

    ``model.onnx`` is the model of the bundle's name, ``text.onnx`` that with ``-text`` behind, and so on. The server
    runs them by its ONNX Runtime backend, our operators by the bodies in the graph.

    Args:
        bundle: what to serve.
        folder: of the repository; made if it is not there.
        say: told what was written.

    Raises:
        UsageError: ``folder`` holds something that is no model repository.
        RssegError: the bundle is damaged, or a file cannot be written. A model is whole or as it was.
    """
    if folder.exists() and (not folder.is_dir() or any(not (f / CONFIG).is_file() for f in folder.iterdir())):
        raise UsageError(f"output {folder} is no model repository: choose another folder with -o")
    manifest = bundle.manifest
    labels = [spec.name for spec in manifest.classes] if manifest.task == "semantic" else []
    for file in sorted(name for name in manifest.files if name.endswith(".onnx")):
        stem = Path(file).stem
        name = manifest.name + ("" if stem == "model" else f"-{stem}")
        model = bundle.read(file)
        signature = read_signature(model, f"bundle {manifest.name}, {file}")
        version = _write_model(folder / name, model, configuration(name, signature, labels), labels)
        say(f"{folder / name}: version {version}")


def configuration(name: str, signature: Signature, labels: Sequence[str]) -> str:
    """``config.pbtxt`` of one graph, whose inputs and outputs carry their batch themselves."""
    lines = [
        f"name: {json.dumps(name)}",
        'platform: "onnxruntime_onnx"',
        "max_batch_size: 0",
        *(_tensor("input", info, ()) for info in signature.inputs),
        *(_tensor("output", info, labels) for info in signature.outputs),
        "version_policy { latest { num_versions: 1 } }",
        "instance_group { kind: KIND_AUTO count: 1 }",
    ]
    return "\n".join(lines) + "\n"


def _tensor(kind: str, info: TensorInfo, labels: Sequence[str]) -> str:
    dims = ", ".join(str(side) if isinstance(side, int) else "-1" for side in info.shape)
    lines = [f"name: {json.dumps(info.name)}", f"data_type: {_TYPES[info.dtype.name]}", f"dims: [ {dims} ]"]
    if labels and info.name == "class_map":
        lines.append(f"label_filename: {json.dumps(LABELS)}")
    return f"{kind} {{\n  " + "\n  ".join(lines) + "\n}"


def _write_model(folder: Path, model: bytes, config: str, labels: Sequence[str]) -> int:
    """The configuration first, so that a server never meets a version without one; the version by one rename."""
    fresh = folder / ".version.partial"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        texts = {CONFIG: config} | ({LABELS: "".join(f"{label}\n" for label in labels)} if labels else {})
        for name, text in texts.items():
            partial = folder / f".{name}.partial"
            write_synced(partial, text.encode())
            os.replace(partial, folder / name)
        version = 1 + max((int(f.name) for f in folder.iterdir() if f.name.isdecimal()), default=0)
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir()
        write_synced(fresh / "model.onnx", model)
        fresh.rename(folder / str(version))
    except OSError as error:
        shutil.rmtree(fresh, ignore_errors=True)
        for name in (CONFIG, LABELS):
            with suppress(OSError):
                (folder / f".{name}.partial").unlink()
        raise RssegError(f"cannot write {folder}: {error.strerror}; its earlier versions are kept") from None
    return version
