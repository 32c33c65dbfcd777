"""The open clips of a console: uploaded or named by path, inspected, rendered, heard."""
