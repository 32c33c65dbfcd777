"""Where the band of a clip ends: its cliff, the holes below it, the slope of the filter there."""
