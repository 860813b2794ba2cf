"""One set of queries for a whole scene.

A mask classifier reads its queries from the image that it sees, so that two windows that see the same pixel tell it
apart by different queries. That is what seams are made of. The pixels' features are local; with queries that every
window shares they agree wherever two windows see the same surroundings.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
ALONE = 1 << 18
"""Multiplications of a product that OpenBLAS makes on the thread that asks. After a larger one its other threads burn
their cores for 20 ms, which the network and those who read and write need."""
CHUNK = 16
"""Products between which the rest is done at once: what numpy asks for a call is as much as it asks for one of them."""


@dataclass(frozen=True, eq=False)
class SceneQueries:
    """Queries of a mask classifier (METHODS 1.4), of one window or of a scene.

    Attributes:
        masks: float32 [N, C], whose products with the features of a pixel are the mask logits.
        shares: float32 [N, K], how much of each class a query is; 0 or more.
    """

    masks: Floats
    shares: Floats

    @staticmethod
    def mean(seen: Sequence[SceneQueries]) -> SceneQueries:
        """Of windows spread over a scene: query by query, since the network learnt what each of them is for.

        Raises:
            ValueError: of none.
        """
        if not seen:
            raise ValueError("the mean of no queries")
        masks = np.stack([queries.masks for queries in seen])
        shares = np.stack([queries.shares for queries in seen])
        return SceneQueries(np.asarray(masks.mean(0), np.float32), np.asarray(shares.mean(0), np.float32))

    def scores(self, features: Floats) -> Floats:
        """Class shares of pixels.

        Args:
            features: float32 [C, h, w].

        Returns:
            float32 [K, h, w], which sum to 1 over the classes.
        """
        pixels = features.reshape(len(features), -1)
        count = pixels.shape[1]
        shares = np.empty((self.shares.shape[1], count), np.float32)
        step = max(16, ALONE // self.masks.size)
        buffer = np.empty((len(self.masks), CHUNK * step), np.float32)
        for first in range(0, count, CHUNK * step):
            present = buffer[:, : count - first]
            parts = [slice(k, k + step) for k in range(0, present.shape[1], step)]
            of_all = [slice(first + part.start, min(first + part.stop, count)) for part in parts]
            for part, pixel in zip(parts, of_all, strict=True):
                np.matmul(self.masks, pixels[:, pixel], out=present[:, part])
            np.clip(present, -60, 60, out=present)  # beyond which exp overflows, and a sigmoid is 0 or 1
            np.exp(np.negative(present, out=present), out=present)
            present += 1
            np.reciprocal(present, out=present)
            for part, pixel in zip(parts, of_all, strict=True):
                np.matmul(self.shares.T, present[:, part], out=shares[:, pixel])
        shares /= np.maximum(shares.sum(0), 1e-6)
        return shares.reshape(-1, *features.shape[1:])

    def to_json(self) -> dict[str, Any]:
        """As JSON, to the last bit."""
        return {"masks": self.masks.tolist(), "shares": self.shares.tolist()}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> SceneQueries:
        """Of :meth:`to_json`."""
        return cls(np.asarray(data["masks"], np.float32), np.asarray(data["shares"], np.float32))
