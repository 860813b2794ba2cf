"""A 3x3 convolution with what is added to it and its ReLU: one operator, its faces side by side."""
