"""Audacity: renders the selection of a running Audacity through its script pipe."""
