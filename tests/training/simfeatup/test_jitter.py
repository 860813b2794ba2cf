"""A jitter is the published pad, zoom, cut and mirror, and moves an image and its features alike."""

import pytest

torch = pytest.importorskip("torch")

import torch.nn.functional as F  # noqa: E402

from rsseg_edge.errors import UsageError  # noqa: E402
from rsseg_edge.training.simfeatup.jitter import Jitter, draw_jitter  # noqa: E402


def published(x, jitter):
    """Step by step, [B, H, W, C]."""
    height, width = x.shape[1:3]
    padded = F.pad(x.permute(0, 3, 1, 2), [jitter.pad] * 4, mode="reflect")
    if jitter.zoom > 1:
        padded = F.interpolate(padded, scale_factor=jitter.zoom, mode="bilinear")
    cut = padded[:, :, jitter.top : jitter.top + height, jitter.left : jitter.left + width].permute(0, 2, 3, 1)
    assert cut.shape == x.shape
    return cut.flip(2) if jitter.mirrored else cut


def drawn(count, height=23, width=31, pad=9):
    generator = torch.Generator().manual_seed(4)
    return [draw_jitter(height, width, pad=pad, zoom=2.0, generator=generator) for _ in range(count)]


def test_every_view_is_the_published_one():
    x = torch.rand(2, 23, 31, 3, dtype=torch.float64)
    views = [v for v in drawn(40) if v.zoom == 1 or int(41 * v.zoom) > 41]  # torch copies where no pixel is gained
    assert len(views) > 35
    for jitter in views:
        torch.testing.assert_close(jitter(x), published(x, jitter), atol=1e-5, rtol=0)  # torch scales in float32


def test_views_are_spread_over_their_range():
    views = drawn(300)
    enlarged = [v.zoom for v in views if v.zoom > 1]
    assert 110 < len(enlarged) < 190
    assert min(enlarged) < 1.1
    assert 1.9 < max(enlarged) < 2
    assert 110 < sum(v.mirrored for v in views) < 190
    still = [v for v in views if v.zoom == 1]
    assert {min(v.top for v in still), max(v.top for v in still)} == {0, 18}
    assert max(v.left for v in views) > 40


def test_a_map_of_the_channels_commutes_with_the_view():
    """So features of the jittered image are jittered features, and 30 channels can stand for 512."""
    x, weight = torch.rand(1, 23, 31, 4, dtype=torch.float64), torch.rand(4, 2, dtype=torch.float64)
    for jitter in drawn(6):
        torch.testing.assert_close(jitter(x @ weight), jitter(x) @ weight)


def test_a_landmark_of_image_and_features_lands_on_the_same_pixel():
    image, features = torch.zeros(1, 40, 50, 3), torch.zeros(1, 40, 50, 7)
    image[:, 20:24, 30:34] = 1
    features[:, 20:24, 30:34] = 5
    found = 0
    for jitter in drawn(20, 40, 50, 10):
        seen, moved = jitter(image)[0, ..., 0], jitter(features)[0, ..., 3]
        torch.testing.assert_close(moved, 5 * seen)
        found += bool(seen.max() == 1)
    assert found > 5


def test_gradients_reach_the_pixels_that_were_seen():
    x = torch.rand(1, 12, 12, 1, dtype=torch.float64, requires_grad=True)
    for jitter in (Jitter(3, 1.6, 5, 2, True), Jitter(3, 1.0, 0, 6, False)):
        assert torch.autograd.gradcheck(jitter, x)


def test_a_crop_smaller_than_its_border_is_refused():
    with pytest.raises(UsageError, match="a border of 20 needs at least 21"):
        draw_jitter(20, 64, pad=20, zoom=2.0)
