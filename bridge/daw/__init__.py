"""Clients that run inside a host, one folder each, and the command that installs them there."""
