import hashlib
from itertools import pairwise

import cv2
import numpy as np
import pytest

from rsseg_edge.datasets.reader import open_dataset
from rsseg_edge.datasets.scenes import generate_clip, generate_scene
from rsseg_edge.datasets.scenes.buildings import Sun
from rsseg_edge.datasets.scenes.canvas import BUILDING, LAND, ROAD, VEGETATION, WATER, Canvas, rectangle
from rsseg_edge.datasets.scenes.light import cast_shadows


def digest(sample):
    return hashlib.sha256(sample.image.tobytes() + sample.labels.tobytes()).hexdigest()


@pytest.mark.parametrize(("height", "width", "gsd"), [(97, 131, 0.5), (64, 64, 0.1), (33, 250, 2.0), (1, 1, 0.5)])
def test_a_scene_has_the_size_asked_for(height, width, gsd):
    sample = generate_scene(3, height, width, gsd=gsd)
    assert sample.image.shape == (height, width, 3)
    assert sample.image.dtype == sample.labels.dtype == np.uint8
    assert sample.labels.shape == (height, width)


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others():
    digests = [digest(generate_scene(seed, 96, 128)) for seed in (11, 11, 12)]
    assert digests[0] == digests[1] != digests[2]


def test_every_class_appears_over_some_scenes_and_no_other_value():
    labels = np.concatenate([generate_scene(seed, 160, 160, gsd=0.8).labels.ravel() for seed in range(16)])
    shares = np.bincount(labels, minlength=5) / labels.size
    assert len(shares) == 5
    assert (shares > 0.02).all()


def test_classes_look_different_in_light_and_colour():
    """Labels fit the picture: within a scene, classes differ in mean colour more than the noise of the camera."""
    apart = []
    for seed in range(12):
        sample = generate_scene(seed, 160, 160, gsd=0.8)
        means = [sample.image[sample.labels == c].mean(axis=0) for c in range(5) if (sample.labels == c).sum() > 200]
        apart += [np.abs(a - b).max() for i, a in enumerate(means) for b in means[:i]]
    assert np.median(apart) > 20


def test_the_sun_moves_shadows_but_no_labels():
    east, west = (generate_scene(1, 128, 128, sun_azimuth=azimuth, sun_elevation=30) for azimuth in (90, 270))
    np.testing.assert_array_equal(east.labels, west.labels)
    assert (east.image != west.image).any()


def test_a_shadow_falls_away_from_the_sun_as_long_as_the_height_says():
    height = np.zeros((61, 81), np.float32)
    height[28:33, 38:43] = 10.0
    shade = cast_shadows(height, Sun(azimuth=np.radians(90), elevation=np.radians(45)), gsd=1.0)
    assert shade[30, 30] > 0.9  # sun in the east, shadow to the west, 10 m long at 45 degrees
    assert shade[30, 25] < 0.1
    assert shade[30, 48] < 0.1
    assert shade[30, 40] < 0.1  # the roof itself is lit
    low = cast_shadows(height, Sun(azimuth=np.radians(90), elevation=np.radians(26.565)), gsd=1.0)
    assert low[30, 20] > 0.9


def test_scenes_depend_on_ground_sampling_distance():
    fine, coarse = (generate_scene(24, 200, 200, gsd=gsd) for gsd in (0.3, 1.2))
    pieces = [cv2.connectedComponents((s.labels == BUILDING).astype(np.uint8))[0] for s in (fine, coarse)]
    assert pieces[1] > pieces[0]


@pytest.mark.parametrize("arguments", [{"height": 0}, {"gsd": 0.0}, {"sun_elevation": 5.0}])
def test_a_scene_that_cannot_be_is_refused(arguments):
    with pytest.raises(ValueError, match=r"scene|sun"):
        generate_scene(**{"seed": 0, "height": 8, "width": 8, **arguments})


def test_a_clip_is_one_scene_that_moves_a_little_from_frame_to_frame():
    frames = list(generate_clip(5, 6, 71, 103))
    assert [f.name for f in frames] == [f"scene_5_{i:05d}" for i in range(6)]
    assert all(f.image.shape == (71, 103, 3) and f.labels.shape == (71, 103) for f in frames)
    changed = [(a.labels != b.labels).mean() for a, b in pairwise(frames)]
    assert 0 < max(changed) < 0.35
    assert [digest(f) for f in generate_clip(5, 2, 71, 103)] == [digest(f) for f in frames[:2]]


def test_a_long_clip_never_leaves_its_scene():
    for frame in generate_clip(2, 90, 31, 47):
        assert (frame.image.reshape(-1, 3).any(axis=1)).mean() > 0.9


def test_scenes_are_a_data_set_whose_splits_share_no_seed():
    train, val = (open_dataset("scenes", split=split) for split in ("train", "val"))
    assert len(train) == 2000
    assert len(val) == 100
    assert {LAND, ROAD, VEGETATION, WATER, BUILDING} == set(range(len(val.classes)))
    assert train[0].name != val[0].name
    assert val[0].image.shape == (val.spec.crop, val.spec.crop, 3)
    assert not set(train._seeds) & set(val._seeds)
    with pytest.raises(IndexError):
        val[100]


def test_what_is_painted_over_casts_no_shadow():
    canvas = Canvas.blank(40, 40, 1.0, np.random.default_rng(0))
    square = rectangle(np.zeros(2), (10.0, 10.0), 0.0)
    canvas.flat(square, (99, 99, 99), BUILDING, 8.0)
    window, mask = canvas.region(square)
    canvas.cover(window, mask, np.full(3, 50, np.float32), LAND)
    assert not canvas.height.any()
    assert (canvas.labels == LAND).all()
