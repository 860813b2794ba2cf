"""Attention to words, whose projections are made before, with its residual: one operator, its faces side by side."""
