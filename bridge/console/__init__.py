"""The console: hear, compare and steer renders and the engine's queue in a browser. No torch."""
