"""Batches and watch folders that a page started."""
