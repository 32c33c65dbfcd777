"""A batch on many machines: on Ray, or handed to a render farm as a job of its own kind."""
