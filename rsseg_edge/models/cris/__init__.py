"""CRIS: segment what a sentence refers to (METHODS 2)."""
