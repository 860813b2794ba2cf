"""Georeferenced scenes of any size, in bounded memory. Needs the extra ``geo``."""
