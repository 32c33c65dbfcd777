"""The protocol between client and engine (messages, frames, transfers), and how the two find each other."""
