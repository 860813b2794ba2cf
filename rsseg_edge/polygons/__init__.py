"""Class maps as polygons: neighbours share their simplified borders, and each keeps the area of its pixels."""
