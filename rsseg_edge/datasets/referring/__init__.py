"""Referring expressions made from masks: which sentence means which pixels, from a seed alone."""

from rsseg_edge.datasets.referring.expression import Expression, draw_expressions
from rsseg_edge.datasets.referring.referring_dataset import ReferringDataset, ReferringSample

__all__ = ["Expression", "ReferringDataset", "ReferringSample", "draw_expressions"]
