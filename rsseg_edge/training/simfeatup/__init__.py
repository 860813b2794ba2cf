"""Training of SimFeatUp, the upsampler of SegEarth-OV, on images without labels (METHODS 3.5)."""
