"""Applies a model and effects to a clip: numpy in, numpy out. No sockets, no torch; the model is injected."""
