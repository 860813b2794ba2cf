"""A run as a web page: the overlay while it is made, and a box to ask for something else."""
