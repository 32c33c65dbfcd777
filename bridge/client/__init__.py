"""The client of an engine: a job is named, handed over, watched and fetched."""
