"""Adaptive upsampling with the classification fused into it: one operator, its faces side by side."""
