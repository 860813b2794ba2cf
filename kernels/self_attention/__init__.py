"""A transformer's self-attention block with its residual: one operator, its faces side by side."""
