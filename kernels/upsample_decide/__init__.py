"""Shares enlarged four times, the best of them and how sure it is: one operator, its faces side by side."""
