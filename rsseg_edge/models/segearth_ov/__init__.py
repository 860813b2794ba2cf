"""SegEarth-OV: training-free open-vocabulary segmentation (METHODS 3)."""

from rsseg_edge.models.segearth_ov.network import SegEarthOV
from rsseg_edge.models.segearth_ov.simfeatup import SimFeatUp

__all__ = ["SegEarthOV", "SimFeatUp"]
