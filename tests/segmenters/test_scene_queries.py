import json

import numpy as np
import pytest

import rsseg_edge
from rsseg_edge.segmenters.scene_queries import SceneQueries


def some(seed: int) -> SceneQueries:
    rng = np.random.default_rng(seed)
    return SceneQueries(rng.normal(size=(6, 8)).astype(np.float32), rng.random((6, 3)).astype(np.float32))


def test_scores_are_shares_of_the_queries_that_a_pixel_answers_to() -> None:
    queries = some(0)
    features = np.random.default_rng(1).normal(size=(8, 4, 5)).astype(np.float32)
    present = 1 / (1 + np.exp(-np.einsum("nc,chw->nhw", queries.masks, features)))
    expected = np.einsum("nk,nhw->khw", queries.shares, present)
    np.testing.assert_allclose(queries.scores(features), expected / expected.sum(0), rtol=1e-5)


def test_features_beyond_all_bounds_give_shares_all_the_same() -> None:
    scores = some(0).scores(np.full((8, 2, 2), 1e6, np.float32))
    assert np.isfinite(scores).all()
    np.testing.assert_allclose(scores.sum(0), 1, rtol=1e-5)


def test_the_mean_is_taken_query_by_query() -> None:
    mean = SceneQueries.mean([some(0), some(1)])
    np.testing.assert_allclose(mean.masks, (some(0).masks + some(1).masks) / 2, rtol=1e-6)
    np.testing.assert_allclose(mean.shares, (some(0).shares + some(1).shares) / 2, rtol=1e-6)
    with pytest.raises(ValueError, match="no queries"):
        SceneQueries.mean([])


def test_json_keeps_every_bit() -> None:
    back = SceneQueries.from_json(json.loads(json.dumps(some(2).to_json())))
    assert np.array_equal(back.masks, some(2).masks)
    assert np.array_equal(back.shares, some(2).shares)


def test_the_shipped_network_scores_the_same_by_its_own_queries() -> None:
    segmenter = rsseg_edge.load("segclip-tiny", threads=1)
    image = np.random.default_rng(0).integers(0, 256, (96, 128, 3), np.uint8)
    queries = segmenter.queries(image)
    assert queries.masks.shape[0] == queries.shares.shape[0]
    np.testing.assert_allclose(segmenter.start_scores(image, queries)(), segmenter.start_scores(image)(), atol=2e-5)
