"""The weights of SimFeatUp's joint bilateral filter: one operator, its faces side by side."""
