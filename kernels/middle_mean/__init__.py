"""The mean of the four values in the middle of each square: one operator, its faces side by side."""
