"""Procedural aerial scenes with exact labels: data for tests and extra data for training, from a seed alone."""

from rsseg_edge.datasets.scenes.clip import generate_clip
from rsseg_edge.datasets.scenes.scene import generate_scene

__all__ = ["generate_clip", "generate_scene"]
