"""The persistent process: server, queue, store, workers, and the models."""
