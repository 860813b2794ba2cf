"""Multi-scale deformable attention: one operator, its faces side by side."""
