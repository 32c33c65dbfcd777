"""Training of the embedded models: what is heard (data), done to it (simulate) and asked for (losses)."""
