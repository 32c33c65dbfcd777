"""Applies a model and effects to a clip: numpy in, numpy out. No sockets, no torch; the model is injected.

`render.render.render` is the whole path of a clip; `render.clip` opens what it takes, `render.files`
writes what comes out, `render.measure` says what a file holds and how far a render is from its reference.
Scripts that want no more than renders take `bridge.Client`, or `engine.local.LocalRenderer` in their own
process.
"""
