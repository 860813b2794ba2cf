"""Training of networks that segment what a sentence refers to."""
