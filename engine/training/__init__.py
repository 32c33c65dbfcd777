"""Training: what a run hears (data, simulate), one loop, and a file for every network."""
