"""Where a video's camera was and what it looked at: telemetry read, carried to frames, turned into ground positions."""
