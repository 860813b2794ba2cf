"""Labelled images: one table describes every data set, one reader opens them, one generator makes them."""
