"""Crops: pure functions of seed and number, labels in line with the image, shared by any number of processes."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from rsseg_edge.datasets.sample import IGNORE, Sample  # noqa: E402
from rsseg_edge.training.crops import CropSource  # noqa: E402
from rsseg_edge.training.recipe import CropConfig  # noqa: E402
from rsseg_edge.types import ClassTable  # noqa: E402

PALETTE = np.array([[230, 20, 20], [20, 230, 20], [20, 20, 230], [220, 220, 20]], np.uint8)
PLAIN = {"color": 0.0, "blur": 0.0}


class Samples(list):
    classes = ClassTable(("red", "green", "blue", "yellow"), tuple(map(tuple, PALETTE.tolist())))

    def area(self, index):
        return self[index].labels.size


def painted(height, width, cell=23, seed=0):
    """Cells of plain colours; the colour is the label, and a corner is unlabelled."""
    rng = np.random.default_rng(seed)
    cells = rng.integers(0, len(PALETTE), (height // cell + 1, width // cell + 1)).astype(np.uint8)
    labels = np.kron(cells, np.ones((cell, cell), np.uint8))[:height, :width]
    image = PALETTE[labels]
    labels = labels.copy()
    labels[:cell, :cell] = IGNORE
    return Sample(image, labels, f"painted_{height}x{width}_{seed}")


def source(seed=1, sets=None, **config):
    sets = sets or [(Samples([painted(201, 317), painted(144, 95, seed=1)]), 1.0)]
    return CropSource(sets, CropConfig(**{"size": 96, **config}), seed)


def test_samples_that_no_longer_fit_the_memory_are_read_again(monkeypatch):
    expected = [source().crop(n) for n in range(8)]
    monkeypatch.setattr("rsseg_edge.training.crops.MEMORY", 1)
    scarce = source()
    for n in range(8):
        for got, want in zip(scarce.crop(n), expected[n], strict=True):
            np.testing.assert_array_equal(got, want)
        assert sum(len(kept._kept) for kept in scarce._samples) == 1


def test_a_crop_depends_on_seed_and_number_alone():
    first, second, other = source(), source(), source(seed=2)
    expected = [first.crop(n) for n in range(6)]
    for n in (5, 0, 3, 3, 1):  # in any order, any number of times, from another object
        for got, want in zip(second.crop(n), expected[n], strict=True):
            np.testing.assert_array_equal(got, want)
    assert not np.array_equal(other.crop(0)[0], expected[0][0])
    assert len({image.tobytes() for image, _ in expected}) == 6


@pytest.mark.parametrize(
    ("scale", "tolerance"), [((1.0, 1.0), 0.004), ((0.35, 0.6), 0.008), ((0.7, 1.6), 0.004), ((2.5, 3.0), 0.004)]
)
def test_labels_stay_with_their_pixels(scale, tolerance):
    """Scaled, turned, mirrored: where a pixel has the colour of one class, that is its label.

    A shrunk image is averaged, its labels are not: more pixels at the borders of cells are off.
    """
    crops = source(scale=scale, tilt=20.0, **PLAIN)
    compared = 0
    for number in range(25):
        image, labels = crops.crop(number)
        assert image.shape == (96, 96, 3)
        assert labels.shape == (96, 96)
        assert image.dtype == labels.dtype == np.uint8
        distance = np.abs(image[:, :, None].astype(int) - PALETTE).sum(-1)
        pure = (distance.min(-1) < 12) & (labels != IGNORE)
        wrong = pure & (distance.argmin(-1) != labels)
        compared += pure.sum()
        assert wrong.mean() < tolerance, number
    assert compared > 25 * 96 * 96 * 0.3


def test_outside_of_the_image_is_unlabelled():
    crops = source(sets=[(Samples([painted(40, 50)]), 1.0)], scale=(1.0, 1.0), tilt=0.0, **PLAIN)
    image, labels = crops.crop(0)
    assert (labels == IGNORE).sum() >= 96 * 96 - 40 * 50
    assert (labels != IGNORE).sum() > 0.6 * 40 * 50
    assert image.reshape(-1, 3).any(1).all()  # the image itself is reflected, not black


def test_crops_stay_inside_a_large_image():
    crops = source(scale=(1.0, 1.0), tilt=0.0, balance=0.0, **PLAIN, sets=[(Samples([painted(300, 400)]), 1.0)])
    for number in range(20):
        _, labels = crops.crop(number)
        assert (labels == IGNORE).sum() <= 23 * 23 + 2 * 97  # the unlabelled cell, and rounding at an edge


def test_balance_finds_rare_classes():
    sample = painted(400, 400)
    labels = np.zeros_like(sample.labels)
    labels[300:308, 80:88] = 2
    rare = Samples([Sample(sample.image, labels, "rare")])
    shares = [
        np.mean([(source(sets=[(rare, 1.0)], balance=b, scale=(1.0, 1.0)).crop(n)[1] == 2).any() for n in range(40)])
        for b in (0.0, 1.0)
    ]
    assert shares[0] < 0.3 < shares[1]


def test_shares_say_how_often_a_set_is_drawn():
    white = Samples([Sample(np.full((120, 120, 3), 255, np.uint8), np.zeros((120, 120), np.uint8), "white")])
    black = Samples([Sample(np.zeros((120, 120, 3), np.uint8), np.zeros((120, 120), np.uint8), "black")])
    crops = source(sets=[(white, 3.0), (black, 1.0)], **PLAIN)
    drawn = np.mean([crops.crop(n)[0].mean() > 128 for n in range(200)])
    assert 0.65 < drawn < 0.85


def test_color_changes_the_image_and_not_the_labels():
    (plain, labels), (altered, same) = source(color=0.0, blur=0.0).crop(4), source(color=0.5, blur=0.0).crop(4)
    np.testing.assert_array_equal(labels, same)
    assert np.abs(plain.astype(int) - altered).mean() > 3


def test_a_shadow_darkens_part_of_the_image_and_not_the_labels():
    lit, labels = source(shadow=0.0, **PLAIN).crop(4)
    shaded, same = source(shadow=1.0, **PLAIN).crop(4)
    np.testing.assert_array_equal(labels, same)
    bright = lit.min(2) > 40
    ratio = (shaded[bright] / lit[bright]).mean(1)
    assert 0.05 < (ratio < 0.6).mean() < 0.6
    assert (ratio == 1).mean() > 0.3


def test_native_crops_are_the_pixels_of_the_image_turned_and_mirrored():
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (150, 170, 3), np.uint8)
    labels = rng.integers(0, 5, (150, 170), np.uint8)
    crops = source(sets=[(Samples([Sample(image, labels, "noise")]), 1.0)], native=1.0, **PLAIN)
    both = np.dstack((image, labels))
    for number in range(8):
        crop = np.dstack(crops.crop(number))
        ways = [np.rot90(way, turns) for way in (crop, crop[:, ::-1]) for turns in range(4)]
        windows = [both[y : y + 96, x : x + 96] for way in ways for y, x in np.argwhere((both == way[0, 0]).all(2))]
        assert any(np.array_equal(w, way) for w in windows for way in ways)


def test_every_pixel_is_as_likely_as_any_other():
    large = Sample(np.full((240, 240, 3), 255, np.uint8), np.zeros((240, 240), np.uint8), "large")
    small = Sample(np.zeros((120, 120, 3), np.uint8), np.zeros((120, 120), np.uint8), "small")
    crops = source(sets=[(Samples([large, small]), 1.0)], **PLAIN)
    drawn = np.mean([crops.crop(n)[0].mean() > 128 for n in range(300)])
    assert 0.73 < drawn < 0.87


@pytest.mark.parametrize("world", [2, 3, 6])
def test_the_global_batch_is_the_same_however_many_processes_share_it(world):
    crops = source(size=32)
    whole = list(crops.batches(6, 1, 4))
    parts = [list(crops.batches(6, 1, 4, rank, world)) for rank in range(world)]
    assert len(whole) == 3
    for step, (images, labels) in enumerate(whole):
        assert images.shape == (6, 3, 32, 32)
        assert images.dtype == torch.float32
        assert labels.dtype == torch.int64
        for rank in range(world):
            assert torch.equal(parts[rank][step][0], images[rank::world])
            assert torch.equal(parts[rank][step][1], labels[rank::world])


def test_batches_may_begin_anywhere():
    crops = source(size=32)
    resumed, whole = list(crops.batches(2, 3, 5)), list(crops.batches(2, 0, 5))
    assert all(torch.equal(a[0], b[0]) for a, b in zip(resumed, whole[3:], strict=True))
    assert list(crops.batches(2, 5, 5)) == []


def test_a_mixed_crop_is_of_two_images_with_their_own_labels():
    plain = Samples(
        Sample(np.full((220, 230, 3), PALETTE[k], np.uint8), np.full((220, 230), k, np.uint8), str(k)) for k in (0, 1)
    )
    crops = source(sets=[(plain, 1.0)], mix=1.0, native=1.0, **PLAIN)
    mixed = [(image, labels) for image, labels in map(crops.crop, range(40)) if len(np.unique(labels)) == 2]
    assert 10 < len(mixed) < 30, "in half of them both parts are of one image"
    for image, labels in mixed:
        np.testing.assert_array_equal(image, PALETTE[labels])
        share = (labels == 1).mean()
        assert 0.15 < min(share, 1 - share) <= 0.5
    assert all(len(np.unique(source(sets=[(plain, 1.0)], native=1.0, **PLAIN).crop(n)[1])) == 1 for n in range(20))


def test_crops_inside_of_an_image_hold_none_of_what_is_around():
    """However small the image: it is scaled up as far as it must be, and no further."""
    samples = []
    for height, width in ((60, 75), (200, 301)):
        sample = painted(height, width)
        samples.append(Sample(sample.image, np.where(sample.labels == IGNORE, 0, sample.labels).astype(np.uint8), "s"))
    for balance in (0.0, 1.0):
        options = {"scale": (0.2, 1.4), "tilt": 20.0, "native": 0.3, "balance": balance, **PLAIN}
        for number in range(30):
            _, labels = source(sets=[(Samples(samples), 1.0)], inside=True, **options).crop(number)
            assert not (labels == IGNORE).any()
    anywhere = source(sets=[(Samples(samples), 1.0)], scale=(0.2, 1.4), **PLAIN)
    assert any((anywhere.crop(number)[1] == IGNORE).any() for number in range(10))


def test_images_are_drawn_evenly_or_by_area():
    large = Sample(np.full((400, 400, 3), 250, np.uint8), np.zeros((400, 400), np.uint8), "large")
    small = Sample(np.full((100, 100, 3), 10, np.uint8), np.zeros((100, 100), np.uint8), "small")
    shares = []
    for even in (False, True):
        crops = source(sets=[(Samples([large, small]), 1.0)], even=even, **PLAIN)
        shares.append(np.mean([crops.crop(number)[0].mean() < 130 for number in range(60)]))
    assert shares[0] < 0.2
    assert 0.3 < shares[1] < 0.7
