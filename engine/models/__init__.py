"""The networks, each readable top to bottom; constructor arguments are the configuration."""
