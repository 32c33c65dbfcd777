"""Batches and watch folders that were started from a page."""
