"""Triton kernels to PTX ahead of time, ``python -m rsseg_edge.kernels.aot``: a board needs neither Triton nor nvcc."""
