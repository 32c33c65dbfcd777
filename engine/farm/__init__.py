"""Renders a batch on many machines: on Ray, or as a job for other render farms."""
