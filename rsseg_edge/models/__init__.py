"""The networks (lab side: needs torch)."""
