"""What the process asks of the machine that it runs on."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import pytest

from rsseg_edge import machine

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="threads have a priority of their own on Linux alone")


@LINUX
def test_a_thread_steps_back_and_the_others_stay() -> None:
    found: list[int] = []

    def work() -> None:
        machine.step_back()
        found.append(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))

    before = os.getpriority(os.PRIO_PROCESS, 0)
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [min(19, before + machine.STEP)]
    assert os.getpriority(os.PRIO_PROCESS, 0) == before


CHILD = """
import resource, sys, threading
from rsseg_edge import machine
if sys.argv[1] == "shared":
    machine.share_heap()
import numpy as np

def work(barrier):
    kept = [np.ones(1 << 16, np.uint8) for _ in range(400)]
    del kept
    barrier.wait()  # one after the other: heaps are not shared by chance
    barrier.wait()

for _ in range(8):
    barrier = threading.Barrier(2)
    threading.Thread(target=work, args=(barrier,), daemon=True).start()
    barrier.wait()
with open("/proc/self/status") as status:
    print(next(line.split()[1] for line in status if line.startswith("RssAnon")))
"""


@LINUX
@pytest.mark.skipif("CS_GNU_LIBC_VERSION" not in getattr(os, "confstr_names", {}), reason="glibc has such heaps")
def test_threads_that_share_a_heap_take_less() -> None:
    own, shared = (
        int(subprocess.run([sys.executable, "-c", CHILD, way], capture_output=True, text=True, check=True).stdout)
        for way in ("own", "shared")
    )
    assert shared < own
