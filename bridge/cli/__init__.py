"""The `airband` command: one file a command."""
