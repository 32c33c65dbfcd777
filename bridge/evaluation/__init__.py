"""Measures models on full-band clips, and holds the demo."""
