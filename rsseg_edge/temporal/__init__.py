"""Steady in time: motion between frames, scores that follow it, and how much classes flicker."""
