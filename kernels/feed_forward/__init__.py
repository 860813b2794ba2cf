"""A transformer's feed-forward block with its residual: one operator, its faces side by side."""
