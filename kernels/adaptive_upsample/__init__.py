"""Upsampling by two with a kernel of its own for every pixel: one operator, its faces side by side."""
