"""The limits that presets, wire and render share: of a clip, a knob and a message."""

from __future__ import annotations

RATE_MIN_HZ, RATE_MAX_HZ = 4000, 384000
"""Rates of a source."""
CHANNELS_MAX = 8
PEAK_MAX = 16.0
"""Samples beyond this (+24 dBFS; full scale is 1) are refused as a mistake of format."""
CUTOFF_MIN_HZ, CUTOFF_MAX_HZ = 1000, 23000
"""The cut-offs a model may be asked for."""

HEADER_BYTES = 64 * 1024
"""The largest header of a message, packed."""
CHUNK_BYTES = 1024 * 1024
"""The largest buffer of a message."""
CREDIT_BYTES = 8 * CHUNK_BYTES
"""How much a client may send ahead of the engine."""
CLIP_BYTES = 64 * 1024**3
"""The largest source."""
