"""Measures what Airband costs, and how near its AudioSR comes to the official code."""
