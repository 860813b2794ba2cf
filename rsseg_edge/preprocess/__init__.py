"""Pure functions between an image and a graph's input."""
