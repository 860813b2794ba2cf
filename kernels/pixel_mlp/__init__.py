"""Two linear layers with a GELU between them for every pixel: one operator, its faces side by side."""
