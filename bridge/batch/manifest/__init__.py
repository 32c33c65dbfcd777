"""Manifests: a table of renders, read and planned."""
