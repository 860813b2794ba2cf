"""The learned correction of a filter's kernels by themselves and the guidance: one operator, its faces side by side."""
