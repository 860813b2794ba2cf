"""The small SegEarth-OV: a hybrid ViT that reads the space of a sentence encoder."""

from rsseg_edge.models.segearth_ov.tiny.network import SegEarthOVTiny

__all__ = ["SegEarthOVTiny"]
