"""Training of the networks (lab side: needs torch)."""
