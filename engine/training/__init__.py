"""Training: data and its simulation, one loop for all, and a file for every network."""
