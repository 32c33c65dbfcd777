"""A plugin's saved state, unwrapped from JUCE's format of a host's state."""

import re
import struct

DIGITS = ".ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+"
COMPONENT = re.compile(rb"(?<=<IComponent>)(\d+)\.([^<]+)")


def component(state: bytes) -> bytes:
    """The plugin's own state, which JUCE wraps: six bits per character, the lowest first."""
    found = COMPONENT.search(state)
    assert found is not None
    number = sum(DIGITS.index(chr(digit)) << (6 * place) for place, digit in enumerate(found[2]))
    return number.to_bytes(len(found[2]), "little")[: int(found[1])]


def with_component(state: bytes, inner: bytes) -> bytes:
    """The same wrapped state, with other content."""
    number, count = int.from_bytes(inner, "little"), -(-8 * len(inner) // 6)
    digits = "".join(DIGITS[number >> (6 * place) & 63] for place in range(count))
    xml = COMPONENT.sub(f"{len(inner)}.{digits}".encode(), state[8:])
    return state[:4] + struct.pack("<I", len(xml) - 1) + xml
