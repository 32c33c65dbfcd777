"""Super-resolution as a stage in a list of effects."""
