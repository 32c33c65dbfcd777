"""Finds another file behind the first, as `cat a.flv b.flv` leaves it: decoders stop before it, or take it
for samples.

A stream that goes on in a second of its kind (MP3, FLAC, Ogg, AC-3) is no other file: see `links`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import BinaryIO

from render.sources.content import OVERLAP_BYTES, PIECE_BYTES, Content
from render.sources.extent.stated import stated_end
from render.sources.links import MPEG_SYNC, TAG, after_metadata, after_tags
from render.sources.mov_channels import atoms_in

HEAD_BYTES = 4096
FLAC = rb"fLaC[\x00\x80]\x00\x00\x22"
HEADS = (
    rb"RIFF.{4}WAVE", rb"RIFX.{4}WAVE", rb"RF64.{4}WAVE", rb"BW64.{4}WAVE",
    rb"FORM.{4}(?:AIF[FC]|8SVX|16SV|MAUD)",
    rb"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb\x04\xc1\x00\x00",  # W64
    rb"caff\x00\x01\x00\x00",
    rb"\.snd\x00\x00.{6}\x00\x00\x00[\x01-\x1b]", rb"dns\..{2}\x00\x00.{4}[\x01-\x1b]\x00\x00\x00",
    FLAC,
    rb"OggS\x00\x02\x00{8}",
    rb"\x00\x00\x00[\x08-\x80]ftyp[ -~]{4}",
    rb"\x30\x26\xb2\x75\x8e\x66\xcf\x11\xa6\xd9\x00\xaa\x00\x62\xce\x6c",  # ASF
    rb"FLV\x01[\x01\x04\x05]\x00\x00\x00\x09",
    rb"\xb7\xd8\x00\x20\x37\x49\xda\x11\xa6\x4e\x00\x07",  # WTV
    rb"MMMD\x00.{3}CNTI",
    rb"TTA1\x01\x00[\x01-\x08]\x00[\x08-\x20]\x00",
    rb"Creative Voice File\x1a",
    rb"NIST_1A\n   1024\n",
    rb"2BIT.{8}(?:\x00\x00|\xff\xff)\x00[\x08\x10]",
    rb"ALawSoundFile\*\*",
    rb"PVF1\n[0-9]{1,2} [0-9]{4,6} [0-9]{1,2}\n",
    rb" paf\x00{7}[\x00\x01]", rb"fap \x00{4}[\x00\x01]\x00{3}",
    rb"\.SoX.{2}\x00\x00",
    rb"\x64\xa3[\x01-\x04]\x00.{4}[\x01-\x08]\x00{3}.\x00{3}",  # IRCAM
    rb"\xf0\x7e[\x00-\x7f]\x01[\x00-\x7f]{16}\xf7",  # MIDI sample dump
    rb"MATLAB 5\.0 MAT-file",
    rb"\x00\x00\x00\x00\x01\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x0b\x00\x00\x00samplerate",  # MAT 4
    rb"\x80\x00.{2}\x03\x12\x04[\x01-\x08]\x00[\x00-\x02]",  # ADX
    rb"Extended Instrument: ",
)  # fmt: skip
"""How files begin; each is long enough that no audio holds it by chance."""
A_HEAD = re.compile(b"|".join(HEADS), re.DOTALL)
ELEMENTARY = re.compile(rb"\xff[\xe2-\xff]|\x0b\x77|\x7f\xfe\x80\x01|#!AMR")
"""How MPEG audio, AC-3, DTS and AMR begin."""


def another(file: BinaryIO, at: int) -> str:
    """The words for another file that begins at a place; "" where none does."""
    return f"another file follows at byte {at}" if is_file(file, at) else ""


def is_file(file: BinaryIO, at: int) -> bool:
    """Whether the head of an audio file stands at a place, its tags before it."""
    file.seek(at)
    head = file.read(OVERLAP_BYTES)
    if TAG.match(head):
        content = Content(file)
        head = content.read(after_tags(content, at), OVERLAP_BYTES)
        if MPEG_SYNC.match(head):
            return True
    return A_HEAD.match(head) is not None


def joint(
    file: BinaryIO, links: Sequence[tuple[int, int]], hook: Callable[[], None] = lambda: None
) -> int | None:
    """First byte of another file that follows the first; None where none is found.

    It is looked for where a container ends by its own sizes, else all through the audio. Containers that may
    hold whole files of their own, as Matroska, Ogg and WavPack do, are not searched.

    Args:
        file: open for reading, not empty; no file that `pcm_header` reads.
        links: the streams in it, first byte and end of each.
        hook: called often; stops the search by raising.
    """
    content = Content(file)
    end, first = len(content), after_tags(content, 0)
    head = content.read(first, HEAD_BYTES).ljust(OVERLAP_BYTES, b"\0")
    if head[4:8] == b"ftyp":
        return next((at for _, at in atoms_in(file, None, 0, end) if at < end and is_file(file, at)), None)
    if stated := stated_end(file, head):
        return next((at for at in (stated, stated + 1) if at < end and is_file(file, at)), None)
    if re.match(FLAC, head):
        audio = [(after_metadata(content, after_tags(content, start)), stop) for start, stop in links]
        others = [kind for kind in HEADS if kind != FLAC]
        return min(
            (at for span in audio if (at := _found(content, others, *span, hook)) is not None), default=None
        )
    if ELEMENTARY.match(head) or (A_HEAD.match(head) and not head.startswith(b"OggS")):
        return _found(content, HEADS, first + 1, end, hook)
    return None


def _found(
    content: Content, kinds: Iterable[bytes], at: int, end: int, hook: Callable[[], None]
) -> int | None:
    """Where a head of one of these kinds first stands between two places."""
    patterns = [re.compile(kind, re.DOTALL) for kind in kinds]
    while at < end:
        hook()
        piece = content.read(at, min(PIECE_BYTES, end - at))
        if found := [match.start() for kind in patterns if (match := kind.search(piece))]:
            return at + min(found)
        at += PIECE_BYTES - OVERLAP_BYTES
    return None
