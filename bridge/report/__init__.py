"""An HTML page about a batch, to hear and see before and after; and its player, also for other pages."""
