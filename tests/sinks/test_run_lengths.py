import numpy as np
import pytest
from pycocotools import mask as reference

from rsseg_edge.sinks.run_lengths import mask_of, runs_of


def pictures() -> list[np.ndarray]:
    chance = np.random.default_rng(3)
    found = [chance.integers(0, 3, shape, np.uint8) for shape in ((1, 1), (1, 9), (7, 1), (33, 17), (64, 31))]
    found += [np.kron(chance.integers(0, 4, (3, 5), np.uint8), np.ones((21, 13), np.uint8))]
    found += [np.zeros((5, 3), np.uint8), np.full((5, 3), 2, np.uint8)]
    tall = np.zeros((4000, 3), np.uint8)  # counts of several characters, and differences below zero
    tall[3000:, 0], tall[:2, 1], tall[10:3999, 2] = 1, 1, 1
    return [*found, tall]


@pytest.mark.parametrize("picture", pictures(), ids=lambda p: "x".join(map(str, p.shape)))
def test_runs_boxes_and_strings_are_those_of_pycocotools(picture: np.ndarray) -> None:
    runs = runs_of(picture)
    for value in range(4):
        wanted = picture == value
        mask = mask_of(runs, value)
        assert (mask is not None) == wanted.any()
        if mask is None:
            continue
        encoded = reference.encode(np.asfortranarray(wanted, dtype=np.uint8))
        assert mask.compressed() == encoded["counts"].decode()
        assert mask.area == reference.area(encoded) == wanted.sum()
        assert list(mask.bbox) == reference.toBbox(encoded).tolist()
        assert mask.counts.sum() == picture.size


def test_a_mask_of_booleans_is_one_too() -> None:
    wanted = np.random.default_rng(0).random((9, 13)) > 0.5
    mask = mask_of(runs_of(wanted), 1)
    assert mask is not None
    decoded = reference.decode({"size": list(mask.size), "counts": mask.compressed().encode()})
    assert (decoded == wanted).all()
