"""The limits that presets, wire and render share: what a clip, a knob and a message may be."""

from __future__ import annotations

RATE_MIN_HZ, RATE_MAX_HZ = 4000, 384000
"""Rates of a source."""
CHANNELS_MAX = 8
PEAK_MAX = 16.0
"""Samples beyond this (+24 dBFS) are taken for a mistake of format: full scale is 1."""
CUTOFF_MIN_HZ, CUTOFF_MAX_HZ = 1000, 23000
"""The cut-offs a model may be asked for."""

HEADER_BYTES = 64 * 1024
"""The most a message's header may weigh, packed."""
CHUNK_BYTES = 1024 * 1024
"""The most a message's buffer may weigh."""
CREDIT_BYTES = 8 * CHUNK_BYTES
"""How much a client may send ahead of the engine."""
CLIP_BYTES = 64 * 1024**3
"""The most one source may weigh."""
