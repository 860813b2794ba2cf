import numpy as np
import pytest

from rsseg_edge.engines.agreement import agreement, reflections


def test_a_class_map_counts_pixels() -> None:
    expected = {"class_map": np.zeros((1, 4, 5), np.uint8), "confidence": np.zeros((1, 4, 5), np.uint8)}
    found = {k: v.copy() for k, v in expected.items()}
    found["class_map"][0, 0, :2] = 1
    found["confidence"][:] = 200
    assert agreement(expected, found, "fp32") == pytest.approx(18 / 20)


def test_cosines_count_the_best_word() -> None:
    expected = np.zeros((1, 3, 2, 2), np.float32)
    expected[0, 1] = 0.5
    found = expected * 3
    assert agreement({"cosines": expected}, {"cosines": found}, "fp32") == 1
    found[0, 2, 0, 0] = 9
    assert agreement({"cosines": expected}, {"cosines": found}, "fp32") == 0.75


def test_mask_logits_count_their_sign() -> None:
    expected = np.array([[[1.0, -1.0], [2.0, -2.0]]], np.float32)
    assert agreement({"mask_logits": expected}, {"mask_logits": -expected}, "fp16") == 0
    assert agreement({"mask_logits": expected}, {"mask_logits": expected / 7}, "fp16") == 1


def test_other_values_count_when_they_are_near() -> None:
    expected = {"features": np.array([1.0, 0.5, 0.0, -1.0], np.float32), "tokens": np.array([1, 2])}
    found = {"features": np.array([1.01, 0.5, 0.1, -1.0], np.float32), "tokens": np.array([1, 2])}
    assert agreement(expected, found, "fp16") == 0.75
    assert agreement(expected, found, "fp32") == 0.5
    assert agreement(expected, found | {"tokens": np.array([3, 4])}, "fp16") == 0


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_no_number_agrees_with_nothing(value: float) -> None:
    expected = {"class_map": np.zeros(3, np.uint8), "logits": np.zeros(3, np.float32)}
    found = {"class_map": np.zeros(3, np.uint8), "logits": np.array([0, value, 0], np.float32)}
    assert agreement(expected, found, "fp32") == 0


def test_a_missing_or_misshapen_output_agrees_with_nothing() -> None:
    expected = {"class_map": np.zeros((1, 3), np.uint8)}
    assert agreement(expected, {}, "fp32") == 0
    assert agreement(expected, {"class_map": np.zeros((1, 4), np.uint8)}, "fp32") == 0


def test_reflections_turn_images_and_nothing_else() -> None:
    image, text = np.arange(36, dtype=np.uint8).reshape(1, 3, 4, 3), np.ones((2, 3), np.float32)
    found = reflections({"image": image, "text": text})
    assert len(found) == 4
    np.testing.assert_array_equal(found[0]["image"], image)
    np.testing.assert_array_equal(found[1]["image"], image[:, :, ::-1])
    np.testing.assert_array_equal(found[3]["image"], image[:, ::-1, ::-1])
    assert all(frame["text"] is text for frame in found)
