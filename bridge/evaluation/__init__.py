"""Measuring models on full-band clips, and the demo."""
