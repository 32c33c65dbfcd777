"""Everything outside the engine: wire, client, rack, batch, command line, DAW scripts. No torch."""
