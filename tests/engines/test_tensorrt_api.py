"""Every name of TensorRT's Python interface that we use, and the versions that have it.

The table restates NVIDIA's reference of 10.3, 10.13 and 11.4; of TensorRT-RTX the installed module itself is asked.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import pytest

from rsseg_edge.engines import executor, tensorrt, tensorrt_build

VERSIONS = ("10.3", "10.13", "11.4", "rtx")
ALL = set(VERSIONS)
RTX = {"rtx"}

# By the name that our code gives the object: its class, and the attributes that we use.
TABLE: dict[str, tuple[str, dict[str, set[str]]]] = {
    "trt": (
        "",
        {
            "__name__": ALL,
            "__version__": ALL,
            "Builder": ALL,
            "BuilderFlag": ALL,
            "ComputeCapability": RTX,
            "ILogger": ALL,
            "IProgressMonitor": ALL,
            "NetworkDefinitionCreationFlag": ALL,
            "OnnxParser": ALL,
            "Runtime": ALL,
            "TensorIOMode": ALL,
            "get_plugin_registry": ALL,
            "init_libnvinfer_plugins": ALL,
        },
    ),
    "builder": (
        "Builder",
        {"build_serialized_network": ALL, "create_builder_config": ALL, "create_network": ALL},
    ),
    "parser": ("OnnxParser", {"get_error": ALL, "num_errors": ALL, "parse": ALL}),
    "finding": ("ParserError", {"desc": ALL, "node_name": ALL, "node_operator": ALL}),
    "config": (
        "IBuilderConfig",
        {
            "clear_flag": ALL,
            "create_timing_cache": ALL,
            "get_timing_cache": ALL,
            "num_compute_capabilities": RTX,
            "progress_monitor": ALL,
            "set_compute_capability": RTX,
            "set_timing_cache": ALL,
        },
    ),
    "registry": ("IPluginRegistry", {"all_creators": ALL, "load_library": ALL}),
    "creator": ("IPluginCreatorV3One", {"name": ALL, "plugin_namespace": ALL, "plugin_version": ALL}),
    "_runtime": ("Runtime", {"deserialize_cuda_engine": ALL}),
    "engine": (
        "ICudaEngine",
        {
            "create_execution_context": ALL,
            "get_tensor_dtype": ALL,
            "get_tensor_mode": ALL,
            "get_tensor_name": ALL,
            "get_tensor_shape": ALL,
            "num_io_tensors": ALL,
        },
    ),
    "context": ("IExecutionContext", {"execute_async_v3": ALL, "set_tensor_address": ALL}),
}
MEMBERS = {
    "BuilderFlag": {"TF32": ALL},
    "NetworkDefinitionCreationFlag": {"STRONGLY_TYPED": ALL},
    "TensorIOMode": {"INPUT": ALL},
    "ILogger": {"Severity": ALL},
    "IProgressMonitor": {"phase_start": ALL, "phase_finish": ALL, "step_complete": ALL},
}
DATA_TYPES = set(executor._DTYPES)


def used() -> dict[str, set[str]]:
    """By the name of the object, the attributes that our modules take of it."""
    found: dict[str, set[str]] = {}
    for module in (tensorrt_build, executor, tensorrt):
        for node in ast.walk(ast.parse(Path(str(module.__file__)).read_text())):
            if isinstance(node, ast.Attribute):
                owner = node.value
                name = owner.id if isinstance(owner, ast.Name) else getattr(owner, "attr", "")
                found.setdefault(name.removeprefix("_") if name == "_trt" else name, set()).add(node.attr)
    return found


def test_every_name_that_is_used_is_in_the_table_and_no_other() -> None:
    found = used()
    for name, (_, attributes) in TABLE.items():
        assert found.get(name, set()) - {"__init__"} == set(attributes), name
    for name, members in MEMBERS.items():
        if name != "IProgressMonitor":  # its methods are ours: the builder calls them
            assert found[name] - {"__init__"} == set(members), name


def test_a_name_of_rtx_alone_is_used_for_rtx_alone() -> None:
    """The three of them lie behind ``capabilities``, which only the export for TensorRT-RTX gives."""
    only = {(name, a) for name, (_, attributes) in TABLE.items() for a, has in attributes.items() if has != ALL}
    assert {a for _, a in only} == {"ComputeCapability", "num_compute_capabilities", "set_compute_capability"}
    text = Path(str(tensorrt_build.__file__)).read_text()
    guarded = text[text.index("    if capabilities:") : text.index("    cache = None if capabilities")]
    for _, attribute in only:
        assert text.count(f".{attribute}") == guarded.count(f".{attribute}")


def test_tensorrt_rtx_has_every_name() -> None:
    trt = pytest.importorskip("tensorrt_rtx", reason="TensorRT-RTX is not installed (pip install tensorrt-rtx)")
    for owner, attributes in TABLE.values():
        for attribute in attributes:
            assert hasattr(getattr(trt, owner) if owner else trt, attribute), f"{owner}.{attribute}"
    for owner, members in MEMBERS.items():
        for member in members:
            assert hasattr(getattr(trt, owner), member), f"{owner}.{member}"
    for name in DATA_TYPES:
        assert hasattr(trt.DataType, name)


LISTED = {"Builder": "builder", "OnnxParser": "parser", "IBuilderConfig": "config", "Runtime": "runtime",
          "ICudaEngine": "engine"}  # fmt: skip


@pytest.mark.parametrize("version", VERSIONS[:-1])
def test_the_table_is_that_of_the_reference(version: str) -> None:
    path = Path(__file__).parents[3] / "shared" / "tensorrt_api.txt"
    if not path.is_file():
        pytest.skip("the listing of TensorRT's interface is not beside the checkout")
    sections = dict(re.findall(r"^#{10} (\S+)\n(.*?)(?=^#{10} |\Z)", path.read_text(), re.M | re.S))
    listing: dict[str, Any] = dict(re.findall(r"^ +(\w+) (\[.*\])$", sections[version], re.M))
    for owner, attributes in TABLE.values():
        if owner in LISTED:
            names = ast.literal_eval(listing[LISTED[owner]])
            for attribute, has in attributes.items():
                assert (attribute in names) == (version in has), f"{version}: {owner}.{attribute}"
    for owner in ("BuilderFlag", "NetworkDefinitionCreationFlag"):
        assert set(MEMBERS[owner]) <= set(ast.literal_eval(listing[owner]))
    assert set(ast.literal_eval(listing["DataType"])) >= DATA_TYPES
    assert {"get_plugin_registry", "init_libnvinfer_plugins", "IPluginRegistry", "IPluginCreatorV3One"} <= set(
        ast.literal_eval(listing["plugin"])
    )
