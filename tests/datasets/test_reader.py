"""Every row of the table, read from a small folder in the layout of its archive."""

import pickle
from pathlib import Path

import cv2
import numpy as np
import pytest

from rsseg_edge.datasets.reader import open_dataset
from rsseg_edge.datasets.table import describe
from rsseg_edge.errors import RssegError, UsageError

SHARED = Path(__file__).parents[3] / "shared" / "data"
HEIGHT, WIDTH = 17, 23

LAYOUTS = {
    "dubai": {
        "train": [("Tile 1/images/image_part_001.jpg", "Tile 1/masks/image_part_001.png"),
                  ("images/tile2_part4.jpg", "masks/tile2_part4.png")],
        "val": [("Tile 1/images/image_part_003.jpg", "Tile 1/masks/image_part_003.png"),
                ("images/tile2_part7.jpg", "masks/tile2_part7.png")],
        "test": [("images/tile8_part5.jpg", "masks/tile8_part5.png"),
                 ("Tile 8/images/image_part_009.jpg", "Tile 8/masks/image_part_009.png")],
    },
    "kampala": {
        "train": [("images/OAM-1238448-1046528-21.png", "masks/OAM-1238448-1046528-21.png")],
        "val": [("images/OAM-1238427-1046547-21.png", "masks/OAM-1238427-1046547-21.png"),
                ("images/OAM-309606-261636-19.png", "masks/OAM-309606-261636-19.png"),
                ("images/OAM-619213-523272-20.png", "masks/OAM-619213-523272-20.png")],
    },
    "loveda": {
        "train": [("Train/Rural/images_png/0.png", "Train/Rural/masks_png/0.png"),
                  ("Train/Urban/images_png/1366.png", "Train/Urban/masks_png/1366.png")],
        "val": [("Val/Urban/images_png/3514.png", "Val/Urban/masks_png/3514.png")],
    },
    "isaid": {
        "train": [("train/images/P0002.png", "train/images/P0002_instance_color_RGB.png"),
                  ("train/images/images/P0005.png", "train/Semantic_masks/images/P0005_instance_color_RGB.png")],
        "val": [("val/images/P0003.png", "val/images/P0003_instance_color_RGB.png")],
    },
    "uavid": {
        "train": [("uavid_train/seq1/Images/000000.png", "uavid_train/seq1/Labels/000000.png"),
                  ("uavid_train/seq31/Images/000900.png", "uavid_train/seq31/Labels/000900.png")],
        "val": [("uavid_val/seq16/Images/000100.png", "uavid_val/seq16/Labels/000100.png")],
    },
    "openearthmap": {"val": [("img_dir/val/aachen_1.tif", "ann_dir/val/aachen_1.tif")]},
    "potsdam": {
        "train": [("img_dir/train/2_10_0_0_512_512.png", "ann_dir/train/2_10_0_0_512_512.png")],
        "val": [("img_dir/val/5_15_0_0_512_512.png", "ann_dir/val/5_15_0_0_512_512.png")],
    },
    "vaihingen": {
        "train": [("img_dir/train/area1_0_0_512_512.png", "ann_dir/train/area1_0_0_512_512.png")],
        "val": [("img_dir/val/area6_0_0_512_512.png", "ann_dir/val/area6_0_0_512_512.png")],
    },
    "udd5": {
        "train": [("train/src/000001.JPG", "train/gt/000001.png")],
        "val": [("val/src/000121.JPG", "val/gt/000121.png")],
    },
    "vdd": {
        "train": [("train/src/DJI_0001.JPG", "train/gt/DJI_0001.png")],
        "val": [("val/src/DJI_0002.JPG", "val/gt/DJI_0002.png")],
        "test": [("test/src/DJI_0003.JPG", "test/gt/DJI_0003.png")],
    },
    "whu-aerial": {
        "train": [("train/image/1.png", "train/label_cvt/1.png")],
        "val": [("val/image/0.png", "val/label_cvt/0.png")],
    },
    "whu-satellite": {
        split: [tuple(f"Satellite_dataset_Ⅱ_East_Asia/1.cropped/{split}/{kind}/1.tif"
                for kind in ("image", "label_cvt"))]
        for split in ("train", "test")
    },
    "inria": {
        split: [tuple(f"AerialImageDataset/train/{kind}/split_{split}/austin1_0_0_1000_1000.png"
                for kind in ("img_dir", "ann_dir"))]
        for split in ("val", "test")
    },
    "xbd": {"test": [("test/images_pre/guatemala-volcano_00000003_pre_disaster.png",
                      "test/targets_cvt_pre/guatemala-volcano_00000003_pre_disaster.png")]},
    "chn6-cug": {"val": [("val/image_cvt/am100012.jpg", "val/label_cvt/am100012.png")]},
    "deepglobe": {"test": [("image_cvt/1004.jpg", "label_cvt/1004.png")]},
    "massachusetts": {"test": [("img/10378780_15.jpg", "label_cvt/10378780_15.png")]},
    "spacenet": {"test": [("img/AOI_2_0.jpg", "label_cvt/AOI_2_0.png")]},
}  # fmt: skip

# Masks that were converted to places in the table: whatever the row's coding.
CONVERTED = {
    "loveda": ("val", "img_dir/val/2522.png", "ann_dir/val/2522.png"),
    "isaid": ("val", "img_dir/val/P0003_0_896_0_896.png", "ann_dir/val/P0003_0_896_0_896_instance_color_RGB.png"),
    "uavid": ("test", "img_dir/test/seq21_000000_0_1280_0_1080.png", "ann_dir/test/seq21_000000_0_1280_0_1080.png"),
}


def write(path, bgr):
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), bgr)


def make_pair(root, spec, files, rng):
    """Write a random image and a mask of random labels, and return the labels."""
    codes = [c.mask[0] for c in spec.classes] + list(spec.ignore)
    labels = rng.integers(len(codes), size=(HEIGHT, WIDTH))
    mask = np.array(codes, np.uint8)[labels]
    write(root / files[0], rng.integers(256, size=(HEIGHT, WIDTH, 3)).astype(np.uint8))
    write(root / files[1], mask[..., ::-1] if mask.ndim == 3 else mask)
    return np.where(labels < len(spec.classes), labels, 255).astype(np.uint8)


@pytest.mark.parametrize("name", LAYOUTS)
def test_archives_are_read_as_they_unpack(tmp_path, name):
    rng, spec = np.random.default_rng(1), describe(name)
    made = {split: [make_pair(tmp_path, spec, files, rng) for files in pairs] for split, pairs in LAYOUTS[name].items()}
    # Neighbours in the same folder that are no pair must not disturb.
    write(tmp_path / "train/images/P0002_instance_id_RGB.png", np.zeros((3, 3, 3), np.uint8))
    for split, labels in made.items():
        dataset = open_dataset(name, tmp_path, split)
        samples = list(dataset)
        assert len(dataset) == len(samples) == len(labels)
        assert len({s.name for s in samples}) == len(samples)
        by_bytes = {s.labels.tobytes() for s in samples}
        assert by_bytes == {wanted.tobytes() for wanted in labels}
        assert all(s.image.shape == (HEIGHT, WIDTH, 3) and s.image.dtype == np.uint8 for s in samples)
        assert all(s.labels.shape == (HEIGHT, WIDTH) and s.labels.dtype == np.uint8 for s in samples)


@pytest.mark.parametrize("name", CONVERTED)
def test_converted_masks_are_read_beside_the_originals(tmp_path, name):
    split, image, mask = CONVERTED[name]
    spec, rng = describe(name), np.random.default_rng(2)
    original = []
    if split in LAYOUTS[name]:
        original = [make_pair(tmp_path, spec, LAYOUTS[name][split][0], rng)]
    count = len(spec.classes)
    labels = rng.integers(count + 1, size=(HEIGHT, WIDTH)).astype(np.uint8)
    labels[labels == count] = 255
    if name == "loveda":  # its conversion moves files alone
        labels = make_pair(tmp_path, spec, (image, mask), rng)
    else:
        write(tmp_path / image, rng.integers(256, size=(HEIGHT, WIDTH, 3)).astype(np.uint8))
        write(tmp_path / mask, labels)
    found = {s.labels.tobytes() for s in open_dataset(name, tmp_path, split)}
    assert found == {wanted.tobytes() for wanted in [labels, *original]}


def test_a_converted_mask_with_a_place_too_many_is_named(tmp_path):
    split, image, mask = CONVERTED["uavid"]
    write(tmp_path / image, np.zeros((HEIGHT, WIDTH, 3), np.uint8))
    write(tmp_path / mask, np.full((HEIGHT, WIDTH), 8, np.uint8))
    with pytest.raises(RssegError, match="value 8 at x=0, y=0 is no class of data uavid"):
        open_dataset("uavid", tmp_path, split)[0]


def test_a_list_says_which_images_count(tmp_path):
    folder = tmp_path / "WaterBodiesDatasetPreprocessed" / "WaterBodiesDatasetPreprocessed"
    labels = np.zeros((16, 24), np.uint8)
    labels[:, :8] = 1  # whole blocks of JPEG
    for number in (8, 14, 34):
        write(folder / "Images" / f"water_body_{number}.jpg", np.full((16, 24, 3), number, np.uint8))
        write(folder / "Masks_cvt" / f"water_body_{number}.jpg", labels)
    with pytest.raises(UsageError, match=r"cannot read .*wbs-si_val\.txt, the list of its images"):
        open_dataset("wbs-si", tmp_path, "val")
    (tmp_path / "wbs-si_val.txt").write_text("water_body_34\nwater_body_8\n")
    dataset = open_dataset("wbs-si", tmp_path, "val")
    assert [pair.image.stem for pair in dataset.pairs] == ["water_body_34", "water_body_8"]
    np.testing.assert_array_equal(dataset[0].labels, labels)


def test_images_are_rgb_and_writable_by_their_owner(tmp_path):
    make_pair(tmp_path, describe("kampala"), LAYOUTS["kampala"]["train"][0], np.random.default_rng(0))
    red = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    red[..., 2] = 250
    write(tmp_path / LAYOUTS["kampala"]["train"][0][0], red)
    image = open_dataset("kampala", tmp_path, "train")[0].image
    assert image[0, 0].tolist() == [250, 0, 0]
    assert image.flags["C_CONTIGUOUS"]


def test_a_folder_of_ones_own_needs_no_root(tmp_path):
    (tmp_path / "own.toml").write_text(
        'classes = [{ name = "a", mask = [7], color = [1, 2, 3] }, { name = "b", mask = [300], color = [3, 2, 1] }]\n'
        'files = [{ image = "{part}/rgb.png", mask = "{part}/gt.png" }]\n[splits]\ntrain = {}\n'
    )
    write(tmp_path / "north" / "rgb.png", np.zeros((3, 5, 3), np.uint8))
    write(tmp_path / "north" / "gt.png", np.full((3, 5), 300, np.uint16))
    (sample,) = open_dataset(tmp_path / "own.toml")
    assert sample.name == "north"
    assert (sample.labels == 1).all()


def test_a_dataset_travels_to_worker_processes(tmp_path):
    make_pair(tmp_path, describe("dubai"), LAYOUTS["dubai"]["train"][0], np.random.default_rng(0))
    dataset = open_dataset("dubai", tmp_path, "train")
    first = dataset[0]
    travelled = pickle.dumps(dataset)
    assert len(travelled) < 20_000
    np.testing.assert_array_equal(pickle.loads(travelled)[0].labels, first.labels)


@pytest.fixture
def broken(tmp_path):
    """One good pair of the Kampala set, to be broken."""
    files = LAYOUTS["kampala"]["train"][0]
    make_pair(tmp_path, describe("kampala"), files, np.random.default_rng(0))
    return tmp_path, tmp_path / files[0], tmp_path / files[1]


def test_missing_root_is_named(tmp_path):
    with pytest.raises(UsageError, match="gone is not a folder"):
        open_dataset("dubai", tmp_path / "gone", "val")


def test_no_root_says_which_option_gives_it():
    with pytest.raises(UsageError, match="--root"):
        open_dataset("dubai", None, "val")


def test_an_empty_folder_says_what_was_expected(tmp_path):
    with pytest.raises(UsageError, match=r"finds no images in .*Val/\{area\}/images_png"):
        open_dataset("loveda", tmp_path, "val")


def test_an_image_without_its_mask_is_named(broken):
    root, _, mask = broken
    mask.unlink()
    with pytest.raises(UsageError, match=rf"has no mask: .*{mask.name} does not exist"):
        open_dataset("kampala", root, "train")


def test_a_mask_of_another_size_is_named(broken):
    root, _, mask = broken
    write(mask, np.zeros((HEIGHT, WIDTH + 1), np.uint8))
    with pytest.raises(RssegError, match=rf"{mask.name} is 24x17 pixels, but its image .* is 23x17"):
        open_dataset("kampala", root, "train")[0]


def test_a_value_outside_the_coding_is_named_with_its_place(broken):
    root, _, mask = broken
    values = np.zeros((HEIGHT, WIDTH), np.uint8)
    values[4, 9] = 2
    write(mask, values)
    with pytest.raises(RssegError, match=rf"{mask.name}: value 2 at x=9, y=4 is no class of data kampala"):
        open_dataset("kampala", root, "train")[0]


def test_a_colour_outside_the_coding_is_named(tmp_path):
    files = LAYOUTS["uavid"]["val"][0]
    make_pair(tmp_path, describe("uavid"), files, np.random.default_rng(0))
    write(tmp_path / files[1], np.full((HEIGHT, WIDTH, 3), (1, 2, 128), np.uint8))
    with pytest.raises(RssegError, match=r"colour \(128, 2, 1\) at x=0, y=0"):
        open_dataset("uavid", tmp_path, "val")[0]


@pytest.mark.parametrize("which", [1, 2])
def test_a_file_that_is_no_image_is_named(broken, which):
    broken[which].write_text("not a picture")
    with pytest.raises(RssegError, match=f"cannot decode .*{broken[which].name}"):
        open_dataset("kampala", broken[0], "train")[0]


@pytest.mark.skipif(not (SHARED / "dubai").is_dir(), reason="the real images lie outside the project: ../shared/data")
@pytest.mark.parametrize(("name", "train", "val"), [("dubai", 40, 16), ("kampala", 98, 19)])
def test_the_real_sets_split_without_overlap(name, train, val):
    root = SHARED / name
    splits = {split: {p.name for p in open_dataset(name, root, split).pairs} for split in ("train", "val")}
    assert {split: len(names) for split, names in splits.items()} == {"train": train, "val": val}
    assert not splits["train"] & splits["val"]
    sample = open_dataset(name, root, "val")[3]
    assert set(np.unique(sample.labels)) <= {*range(len(describe(name).classes)), 255}


@pytest.mark.skipif(not (SHARED / "loveda").is_dir(), reason="the real tiles lie outside the project: ../shared/data")
def test_real_loveda_tiles_in_a_folder_of_ones_own(tmp_path):
    classes = ", ".join(
        f'{{ name = "{c.name}", mask = {list(c.mask)}, color = [0, 0, 0] }}' for c in describe("loveda").classes
    )
    (tmp_path / "tiles.toml").write_text(
        f"classes = [{classes}]\nignore = [0]\n"
        'files = [{ image = "images/{n:d}.png", mask = "masks/{n:d}.png" }]\n[splits]\nval = {}\n'
    )
    samples = list(open_dataset(tmp_path / "tiles.toml", SHARED / "loveda", "val"))
    assert [s.labels.shape for s in samples] == [(1024, 1024)] * 3
    shares = np.bincount(np.concatenate([s.labels.ravel() for s in samples]), minlength=7) / (3 * 1024**2)
    np.testing.assert_allclose(shares, [0.1199, 0.0057, 0.0069, 0.0883, 0, 0.3043, 0.475], atol=1e-4)
