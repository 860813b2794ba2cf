"""CRIS: segment what a sentence refers to (METHODS 2)."""

from rsseg_edge.models.cris.network import CRIS

__all__ = ["CRIS"]
