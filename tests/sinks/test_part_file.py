import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from rsseg_edge.errors import RssegError
from rsseg_edge.sinks.part_file import PartFile, write_file


def test_nothing_has_the_final_name_before_publish(tmp_path: Path) -> None:
    part = PartFile(tmp_path / "new" / "a.bin")
    part.file.write(b"x" * 10)
    assert [p.name for p in (tmp_path / "new").iterdir()] == [f"a.bin.{os.getpid()}.part"]
    part.publish()
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["a.bin"]
    assert (tmp_path / "new" / "a.bin").read_bytes() == b"x" * 10


def test_discard_leaves_nothing_and_keeps_what_was_there(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"old")
    part = PartFile(tmp_path / "a")
    part.file.write(b"new")
    part.discard()
    part.discard()
    assert [p.name for p in tmp_path.iterdir()] == ["a"]
    assert (tmp_path / "a").read_bytes() == b"old"


def test_discard_after_publish_keeps_the_file(tmp_path: Path) -> None:
    part = PartFile(tmp_path / "a")
    part.publish()
    part.discard()
    assert (tmp_path / "a").exists()


def test_a_kill_leaves_the_part_file_alone(tmp_path: Path) -> None:
    code = (
        "import os, pathlib, sys; from rsseg_edge.sinks.part_file import PartFile;"
        "p = PartFile(pathlib.Path(sys.argv[1])); p.file.write(b'x'); p.file.flush(); os.kill(os.getpid(), 9)"
    )
    assert subprocess.run([sys.executable, "-c", code, tmp_path / "a"], check=False).returncode == -9
    assert [p.suffix for p in tmp_path.iterdir()] == [".part"]


def test_what_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RssegError, match=r"cannot write .*file/a: (Not a directory|File exists)"):
        write_file(tmp_path / "file" / "a", b"x")


def test_full_disk_is_named_and_leaves_nothing(small_disk: Path) -> None:
    write_file(small_disk / "fits", b"x" * 1000)
    with pytest.raises(RssegError, match=r"cannot write .*big: No space left on device"):
        write_file(small_disk / "big", b"x" * 2_000_000)
    assert [p.name for p in small_disk.iterdir()] == ["fits"]


def test_full_disk_met_at_the_end_is_named_too(small_disk: Path) -> None:
    part = PartFile(small_disk / "a")
    part.file.write(b"x" * 100)  # still in the buffer
    fill(small_disk / "filler")
    with pytest.raises(RssegError, match="No space left"):
        part.publish()
    assert [p.name for p in small_disk.iterdir()] == ["filler"]


def fill(path: Path) -> None:
    """Take all space that is left."""
    with path.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(b"x" * 4096)
