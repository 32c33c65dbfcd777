"""Batches of files: planning, running, watching a folder, editing in place."""
