"""Clips that pages have open: sent or named, looked at, rendered, heard."""
