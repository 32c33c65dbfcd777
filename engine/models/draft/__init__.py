"""The embedded model: a predicted envelope over fine structure taken from the input."""
