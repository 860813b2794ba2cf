"""Times of the CPU kernels beside what they replace: ``python -m rsseg_edge.kernels.bench``."""
