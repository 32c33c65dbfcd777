"""Figures and pictures of a render against its reference."""
