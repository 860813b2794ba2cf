"""Runtimes that execute a bundle's graph behind one protocol."""
