"""Pedalboard's effects and external plugins around a render."""
