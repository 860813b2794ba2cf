"""The same in numpy: what is compiled is tested against it, and where it was not compiled this runs."""
