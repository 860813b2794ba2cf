"""Bilinear upsampling by two, then a 3x3 convolution with its ReLU: one operator, its faces side by side."""
