import pytest

from rsseg_edge.errors import UsageError
from rsseg_edge.sources import camera as module
from rsseg_edge.sources.camera import CameraRequest, open_v4l2, parse_camera


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ("/dev/video0", CameraRequest("/dev/video0")),
        ("v4l2:///dev/video2?size=640x480", CameraRequest("/dev/video2", (640, 480))),
        ("/dev/video1?size=1280x720&rate=30&format=mjpeg", CameraRequest("/dev/video1", (1280, 720), 30, "mjpeg")),
        ("v4l2:///dev/v4l/by-id/usb-cam-index0", CameraRequest("/dev/v4l/by-id/usb-cam-index0")),
        ("csi://1", CameraRequest("1")),
        ("csi://0?size=1920x1080&rate=60", CameraRequest("0", (1920, 1080), 60)),
    ],
)
def test_a_camera_and_its_mode(where: str, expected: CameraRequest) -> None:
    assert parse_camera(where) == expected


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("csi://front", "a camera is /dev/video0"),
        ("v4l2://video0", "a camera is /dev/video0"),
        ("/dev/video0?fps=30", "no 'fps'; it takes size, rate, format"),
        ("csi://0?format=mjpeg", "no 'format'; it takes size, rate"),
        ("/dev/video0?size=720p", r"\?size=1280x720&rate=30"),
        ("csi://0?rate=0", r"\?size=1280x720&rate=30"),
        ("csi://0?rate=", r"\?size=1280x720&rate=30"),
        ("/dev/video0?format=a%20b", r"\?size=1280x720&rate=30"),
    ],
)
def test_what_is_no_camera_or_mode_is_refused(where: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse_camera(where)


def test_v4l2_gets_the_mode_as_ffmpeg_calls_it(monkeypatch: pytest.MonkeyPatch) -> None:
    import av

    given: list[tuple] = []
    monkeypatch.setattr(av, "open", lambda *a, **k: given.append((a, k)))
    open_v4l2(CameraRequest("/dev/video0", (1280, 720), 30, "mjpeg"), (5.0, 5.0))
    options = {"video_size": "1280x720", "framerate": "30", "input_format": "mjpeg"}
    assert given == [(("/dev/video0",), {"format": "v4l2", "options": options, "timeout": (5.0, 5.0)})]
    assert "v4l2" in ",".join(av.formats_available), "this FFmpeg reads no cameras"
    assert module.V4L2.fullmatch("/dev/video0")
