"""Training of the predictor of `draft`."""
