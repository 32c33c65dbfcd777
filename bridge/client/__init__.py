"""The client of an engine: it submits jobs, watches them and fetches their results."""
