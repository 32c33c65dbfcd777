"""Audacity: the selection of a running Audacity is rendered through its script pipe."""
