"""SegCLIP: text-prompted mask classification (METHODS 1)."""
