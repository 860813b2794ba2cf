"""A depthwise separable convolution on 8-bit codes: one operator, its faces side by side."""
