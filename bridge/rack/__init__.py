"""Super-resolution as a stage among effects."""
