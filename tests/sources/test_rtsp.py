"""A real RTSP server on the loopback, killed and started again; the whole of it is scripts/rtsp_restarts.py."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from rtsp_server import MISSING, has_server

SCRIPT = Path(__file__).parents[2] / "scripts" / "rtsp_restarts.py"


@pytest.mark.skipif(not has_server(), reason=MISSING)
@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_a_server_that_is_killed_is_found_again_and_nothing_old_is_shown(transport: str):
    command = [sys.executable, str(SCRIPT), "--restarts", "2", "--transport", transport, "--max-lag", "1"]
    told = json.loads(subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout)
    assert len(told["seconds_until_back"]) == 2
    assert max(told["seconds_until_back"]) < 15  # a loaded machine; the script's own figures are the measurement
    assert told["connections"] >= 3
    assert told["shown"] > 20
    assert told["age_s"]["largest"] <= 1
