"""Referring expressions: made from masks by a seed alone, or read with the data sets that came with them."""

from rsseg_edge.datasets.referring.expression import Expression, draw_expressions
from rsseg_edge.datasets.referring.given import GivenDataset, open_given
from rsseg_edge.datasets.referring.referring_dataset import ReferringDataset, ReferringSample
from rsseg_edge.datasets.referring.table import is_given

__all__ = [
    "Expression",
    "GivenDataset",
    "ReferringDataset",
    "ReferringSample",
    "draw_expressions",
    "is_given",
    "open_given",
]
