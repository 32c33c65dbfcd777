"""What a stem takes over from its source file: tags, covers, markers, loops, time references."""
