"""SegEarth-OV: training-free open-vocabulary segmentation (METHODS 3)."""
