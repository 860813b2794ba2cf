"""A block of a mobile network on 8-bit codes: one operator, its faces side by side."""
