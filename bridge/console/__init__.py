"""The console: renders heard, compared and steered in a browser, and the engine's queue. No torch."""
