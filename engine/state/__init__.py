"""The state folder of an engine: jobs in SQLite, files in the spool. No loop, no sockets."""
