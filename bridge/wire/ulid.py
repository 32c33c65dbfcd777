"""Names for jobs and sessions: ULIDs, which sort by the time they were made (github.com/ulid/spec)."""

from __future__ import annotations

import secrets
import time

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
"""Crockford's base 32."""


def new_ulid() -> str:
    """26 characters: 48 bits of milliseconds since 1970, then 80 random bits."""
    value = time.time_ns() // 1_000_000 << 80 | secrets.randbits(80)
    return "".join(ALPHABET[value >> shift & 31] for shift in range(125, -1, -5))
