"""The runtime finds in the bank what the encoder gave."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="export is the lab side: it needs torch")

from rsseg_edge.bundle import InputSpec, Manifest, VocabularySpec, open_bundle
from rsseg_edge.export.word_bank import bank_text_part
from rsseg_edge.export.write import checksums, write_bundle
from rsseg_edge.precision import Precision
from rsseg_edge.prompts.words import WordFeatures


def encode(words):
    """Any direction, the same for the same word."""
    rows = np.stack([np.random.default_rng([*word.lower().encode()]).normal(size=8) for word in words])
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def test_bank_holds_phrases_and_the_classes_words_once(tmp_path: Path) -> None:
    part = bank_text_part(encode, ["road", "River bank", "roof"], ["Roof", "café"], encoder="none", templates=("a {}",))
    np.testing.assert_allclose(part.deployed, encode(["roof", "café"]), atol=1e-3)
    spec = VocabularySpec(dim=8, crop=32, stride=16, templates=part.templates, encoder=part.encoder)
    manifest = Manifest(
        name="bank", model="m", task="open-vocabulary", config={}, input=InputSpec(), vocabulary=spec,
        precision=Precision(name="fp32"), files=checksums(part.files),
    )  # fmt: skip
    write_bundle(tmp_path / "bank", manifest, part.files)
    words = WordFeatures(open_bundle(tmp_path / "bank"), cache=tmp_path / "cache")
    assert words.bank == ("road", "river bank", "roof", "café")
    features, encoded = words.features(["Road", "café", "river bank"])
    assert encoded == 0
    np.testing.assert_allclose(features, encode(["road", "café", "river bank"]), atol=1e-3)
    np.testing.assert_allclose(np.linalg.norm(features, axis=1), 1, atol=1e-6)
