"""What a source file says of itself, how far that is to be trusted, and who decodes it."""
