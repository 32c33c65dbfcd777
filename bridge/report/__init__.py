"""A page about a batch, before and after, heard and seen; and its player, for other pages."""
