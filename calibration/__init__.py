"""Calibration of quantised graphs."""
