"""Latency: stage by stage, and together."""
