"""Pure functions on class maps."""
