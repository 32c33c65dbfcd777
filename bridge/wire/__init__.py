"""What crosses between client and engine (messages, frames, transfers), and how they find each other."""
