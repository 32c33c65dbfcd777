"""What a source file says of itself, how far that can be trusted, and what decodes it."""
