"""Quantisation: which images, which ranges, which nodes, at what cost. See README.md beside this file."""
