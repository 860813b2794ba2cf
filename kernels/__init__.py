"""Custom operators, one room each."""
