"""What goes along from a source file to its stem: tags, covers, markers, loops, time references."""
