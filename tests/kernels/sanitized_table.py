"""Runs models through a library that was built with sanitizers: the child process of test_sanitizers.py.

Usage: sanitized_table.py LIBRARY FOLDER, with one .onnx and one .npz (inputs, ``expected``, ``tolerance``) a case.
"""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path

import numpy as np
import onnxruntime as ort

library, folder = sys.argv[1:]
limit = ctypes.CDLL(library).rsseg_limit_isa
limit.restype = ctypes.c_char_p
runs = failures = 0
for isa in ("scalar", "vec128", "avx2", "avx512", "vnni"):
    if limit(isa.encode()).decode() != isa:
        continue
    for path in sorted(Path(folder).glob("*.onnx")):
        options = ort.SessionOptions()
        options.intra_op_num_threads = 2
        options.log_severity_level = 4
        options.register_custom_ops_library(library)
        data = dict(np.load(path.with_suffix(".npz")))
        want, tolerance = data.pop("expected"), data.pop("tolerance")
        outputs = ort.InferenceSession(path.read_bytes(), options, providers=["CPUExecutionProvider"]).run(None, data)
        got = outputs[0] if len(outputs) == 1 else np.stack(outputs)
        error = np.abs(got.astype(np.float64) - want).max() / (np.abs(want).max() or 1)
        runs += 1
        if not error <= tolerance:
            failures += 1
            print(f"{isa} {path.stem}: error {error}")
print(f"{runs} runs, {failures} failures")
sys.exit(bool(failures))
