"""Annotated images: one table, one reader, and a generator of exact scenes."""
