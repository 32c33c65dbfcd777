"""What the state folder of an engine holds: jobs in SQLite, files in the spool. No loop, no sockets."""
