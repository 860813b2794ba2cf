"""Text features of words: from the bundle's bank, from a cache on disk, or from an encoder where there is one."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import numpy.typing as npt

from rsseg_edge.bundle import Bundle, VocabularySpec
from rsseg_edge.engines.onnxruntime import OnnxRuntimeEngine
from rsseg_edge.errors import RssegError, UsageError
from rsseg_edge.prompts.tokenizer import Tokenizer, without_padding

Features = npt.NDArray[np.float32]
Encode = Callable[[Sequence[str]], Features]
TEXT_GRAPH, TOKENIZER, BANK, BANK_FEATURES = "text.onnx", "tokenizer.json", "bank.json", "bank.f16"
ENCODERS = "rsseg_edge.sentence_encoders"
"""Entry points that give an encoder: a function without arguments that returns an :data:`Encode`."""


class WordFeatures:
    """Features of words in the space of a bundle's network.

    Args:
        bundle: of an open vocabulary.
        threads: cores of the text encoder.
        cache: folder of the features that were encoded before; None takes the user's cache folder.

    Raises:
        RssegError: the bundle is damaged.
    """

    def __init__(self, bundle: Bundle, *, threads: int | None = None, cache: Path | None = None) -> None:
        manifest = bundle.manifest
        assert manifest.vocabulary is not None, "the manifest was validated"
        self._spec: VocabularySpec = manifest.vocabulary
        self._bundle, self._threads, self._name = bundle, threads, manifest.name
        self._known: dict[str, Features] = _bank(bundle, self._spec.dim)
        self._encode: Encode | None = None
        # Features are those of the encoder and of its templates: another of either is another folder.
        origin = [manifest.files.get(TEXT_GRAPH, self._spec.encoder), *self._spec.templates]
        self._cache = (cache or _cache_folder()) / hashlib.sha256("\n".join(origin).encode()).hexdigest()[:16]

    @property
    def bank(self) -> tuple[str, ...]:
        """Words that need no encoder."""
        return tuple(self._known)

    def features(self, words: Sequence[str]) -> tuple[Features, int]:
        """Features float32 [len(words), D], rows of length 1, and how many of them had to be encoded.

        Raises:
            UsageError: a word is in no bank or cache and there is no encoder, or it is too long for it.
        """
        encoded = 0
        for word in words:
            if word.lower() in self._known:
                continue
            found = self._cached(word.lower())
            if found is None:
                found = self._encoded(word.lower())
                self._keep(word.lower(), found)
                encoded += 1
            self._known[word.lower()] = found
        return np.stack([self._known[word.lower()] for word in words]), encoded

    def close(self) -> None:
        """Drop the encoder."""
        self._encode = None

    def _encoded(self, word: str) -> Features:
        if self._encode is None:
            self._encode = self._encoder()
        rows = self._encode([template.format(word) for template in self._spec.templates])
        mean: Features = rows.mean(0)
        return mean / np.linalg.norm(mean)

    def _encoder(self) -> Encode:
        if self._spec.encoder == TEXT_GRAPH:
            return _graph_encoder(self._bundle, self._spec, self._threads)
        for point in importlib.metadata.entry_points(group=ENCODERS):
            if point.name == self._spec.encoder:
                try:
                    load: Callable[[], Encode] = point.load()
                    return load()
                except ImportError:
                    break
        raise UsageError(
            f"bundle {self._name} knows {len(self._known)} words, and others only with the sentence encoder: "
            f"pip install 'rsseg-edge[train]', or choose among: {_some(self._known)}"
        )

    def _file(self, word: str) -> Path:
        return self._cache / f"{hashlib.sha256(word.encode()).hexdigest()[:32]}.f32"

    def _cached(self, word: str) -> Features | None:
        try:
            found = np.fromfile(self._file(word), "<f4")
        except OSError:
            return None
        # a cache is no bundle: what is wrong in it is made anew
        sound = found.shape == (self._spec.dim,) and abs(float(np.linalg.norm(found)) - 1) < 1e-3
        return found.astype(np.float32) if sound else None

    def _keep(self, word: str, features: Features) -> None:
        path = self._file(word)
        partial = path.with_suffix(f".{os.getpid()}.partial")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            features.astype("<f4").tofile(partial)
            os.replace(partial, path)
        except OSError:  # without a cache it is slower, not wrong
            with suppress(OSError):
                partial.unlink()


def _bank(bundle: Bundle, dim: int) -> dict[str, Features]:
    if BANK not in bundle.manifest.files:
        return {}
    try:
        words = [str(word).lower() for word in json.loads(bundle.read(BANK))]
        features = np.frombuffer(bundle.read(BANK_FEATURES), "<f2").astype(np.float32).reshape(len(words), dim)
    except (ValueError, TypeError):
        raise RssegError(
            f"bundle {bundle.manifest.name}: {BANK} and {BANK_FEATURES} do not fit; export again"
        ) from None
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    return dict(zip(words, features, strict=True))


def _graph_encoder(bundle: Bundle, spec: VocabularySpec, threads: int | None) -> Encode:
    name = f"bundle {bundle.manifest.name}: text encoder"
    engine = OnnxRuntimeEngine(bundle.read(TEXT_GRAPH), threads=threads, name=name)
    tokenizer = Tokenizer(bundle.read(TOKENIZER), spec.context_length, name=f"{name}'s {TOKENIZER}")

    def encode(sentences: Sequence[str]) -> Features:
        tokens = without_padding(tokenizer.encode(sentences))
        features: Features = engine.infer({"tokens": tokens}, ("features",))["features"]
        return features

    return encode


def _cache_folder() -> Path:
    given = os.environ.get("XDG_CACHE_HOME")
    return (Path(given) if given else Path.home() / ".cache") / "rsseg-edge" / "text"


def _some(words: dict[str, Features]) -> str:
    listed = list(words)
    return ", ".join(listed[:: max(1, len(listed) // 8)][:8]) + (", ..." if len(listed) > 8 else "")
