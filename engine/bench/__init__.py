"""What the product costs, and how near AudioSR comes to the official code: measured."""
