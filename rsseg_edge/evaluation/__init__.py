"""Accuracy: metrics and their report."""
