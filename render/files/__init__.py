"""Stems as files: encoded, with metadata and sidecar, published whole."""
