"""The clients that live in a host: one folder each, and the command that puts them where the host looks."""
