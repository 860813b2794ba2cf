"""Masked cross-attention: one operator, its faces side by side."""
