"""Converts plain PCM, as it lies in a file, to samples, straight from bytes of any number.

libsndfile would read a few kilobytes at a time, each through a Python call: a seventh of the time of a render
by `draft`.
"""

from __future__ import annotations

import io
from functools import cache

import numpy as np
import soundfile
from numpy.typing import NDArray

WIDTHS = {"PCM_S8": 1, "PCM_16": 2, "PCM_32": 4}


def samples_of(raw: NDArray[np.uint8], subtype: str, big_endian: bool) -> NDArray[np.float32]:
    """(n,) samples, full scale +-1, the same ones that libsndfile makes of the same bytes.

    Args:
        raw: the bytes of n samples.
        subtype: libsndfile's name of their format.
        big_endian: their order.
    """
    end = ">" if big_endian else "<"
    if subtype in ("FLOAT", "DOUBLE"):
        with np.errstate(over="ignore", invalid="ignore"):  # the reader checks the limits
            return raw.view(f"{end}f{4 if subtype == 'FLOAT' else 8}").astype(np.float32)
    if subtype == "PCM_U8":
        return _scaled(raw.view(np.int8) ^ -128, 8)
    if subtype == "PCM_24":
        # Four bytes at a stride of three; the lowest is a neighbour's and is masked out.
        padded = np.pad(raw, (0, 1) if big_endian else (1, 0))
        return _scaled(np.ndarray(len(raw) // 3, f"{end}i4", padded.data, strides=(3,)) & ~0xFF, 32)
    if subtype in WIDTHS:
        return _scaled(raw.view(f"{end}i{WIDTHS[subtype]}"), 8 * WIDTHS[subtype])
    return _codes(subtype)[raw]


def _scaled(integers: NDArray[np.signedinteger], bits: int) -> NDArray[np.float32]:
    samples = integers.astype(np.float32)
    samples *= np.float32(2.0 ** (1 - bits))
    return samples


@cache
def _codes(subtype: str) -> NDArray[np.float32]:
    """The sample of each byte of mu-law or A-law."""
    every = io.BytesIO(bytes(range(256)))
    return np.asarray(
        soundfile.read(every, dtype="float32", samplerate=8000, channels=1, subtype=subtype, format="RAW")[0]
    )
