"""Compressed ID3 frames that would inflate beyond memory are found before they are inflated."""

from __future__ import annotations

import struct
import tracemalloc
import zlib
from pathlib import Path

import pytest

from render.files.carried.tags import INFLATES, parse_id3, read_tags
from render.sources.id3_frames import inflates_beyond
from render.sources.tag_search import TAGS_BYTES_MAX

LIMIT = 2**20


def zeros(nbytes: int) -> bytes:
    deflater = zlib.compressobj()
    pieces = [deflater.compress(bytes(LIMIT)) for _ in range(nbytes // LIMIT)]
    return b"".join([*pieces, deflater.compress(bytes(nbytes % LIMIT)), deflater.flush()])


def synchsafe(size: int) -> bytes:
    return bytes(size >> shift & 0x7F for shift in (21, 14, 7, 0))


def frame(name: bytes, content: bytes, version: int, *, compressed: bool = False) -> bytes:
    """A frame; a compressed one states its inflated size before its content, here a false one."""
    flags = {3: 0x0080, 4: 0x0009}[version] if compressed else 0
    content = struct.pack(">I", 5) + content if compressed else content
    size = synchsafe(len(content)) if version == 4 else struct.pack(">I", len(content))
    return name + size + struct.pack(">H", flags) + content


def tag(frames: bytes, version: int, flags: int = 0) -> bytes:
    return b"ID3" + bytes([version, 0, flags]) + synchsafe(len(frames)) + frames


def chapter(frames: bytes, version: int) -> bytes:
    return frame(b"CHAP", b"one\0" + bytes(16) + frames, version)


def contents(frames: bytes, version: int) -> bytes:
    return frame(b"CTOC", b"toc\0" + b"\x03\x02" + b"one\0two\0" + frames, version)


@pytest.mark.parametrize("version", [3, 4])
def test_what_frames_inflate_to_is_summed(version: int) -> None:
    half = frame(b"TXXX", zeros(LIMIT // 2), version, compressed=True)
    plain = frame(b"APIC", bytes(3 * LIMIT), version)
    assert not inflates_beyond(tag(plain + 2 * half, version), LIMIT)
    assert inflates_beyond(tag(plain + 3 * half, version), LIMIT)


@pytest.mark.parametrize("version", [3, 4])
@pytest.mark.parametrize("holder", [chapter, contents])
def test_frames_in_chapters_are_found(version: int, holder: object) -> None:
    inner = frame(b"TXXX", zeros(2 * LIMIT), version, compressed=True)
    assert inflates_beyond(tag(holder(inner, version), version), LIMIT)  # type: ignore[operator]
    assert not inflates_beyond(tag(holder(inner, version), version), 3 * LIMIT)  # type: ignore[operator]
    nested = chapter(chapter(b"", version), version)
    assert inflates_beyond(tag(nested, version), 3 * LIMIT), "no program writes chapters in chapters"


def test_every_way_to_read_a_tag_is_gone(tmp_path: Path) -> None:
    bomb = zeros(2 * LIMIT)
    as_itunes = b"TXXX" + struct.pack(">IH", len(bomb) + 4, 0x0009) + bytes(4) + bomb
    assert inflates_beyond(tag(as_itunes, 4), LIMIT), "sizes of 8 bits a byte in 2.4"
    sizeless = b"TXXX" + synchsafe(len(bomb)) + struct.pack(">H", 0x0008) + bomb
    assert inflates_beyond(tag(sizeless, 4), LIMIT), "no size before the content"
    unsynchronised = frame(b"TXXX", bomb, 3, compressed=True).replace(b"\xff", b"\xff\0")
    assert inflates_beyond(tag(unsynchronised, 3, 0x80), LIMIT)
    extended = synchsafe(6) + bytes(2) + frame(b"TXXX", bomb, 4, compressed=True)
    assert inflates_beyond(tag(extended, 4, 0x40), LIMIT)
    cut = frame(b"TXXX", bomb[:-100] + bytes(100), 4, compressed=True)
    assert inflates_beyond(tag(cut, 4), LIMIT), "the fault comes after what fills the memory"


@pytest.mark.parametrize(
    "junk", [b"", b"ID3", b"ID3\x04\0\xff" + b"\x7f" * 4 + b"TXXX\xff\xff\xff\xff\xff\xff"]
)
def test_junk_inflates_to_nothing(junk: bytes) -> None:
    assert not inflates_beyond(junk, LIMIT)


def test_such_a_tag_is_named_and_not_read(tmp_path: Path) -> None:
    bomb = tag(frame(b"TXXX", zeros(5 * TAGS_BYTES_MAX), 4, compressed=True), 4)
    assert len(bomb) < LIMIT
    (tmp_path / "a.mp3").write_bytes(bomb + bytes(1000))
    tracemalloc.start()
    try:
        assert read_tags(tmp_path / "a.mp3").others == (INFLATES,)
        assert parse_id3(bomb).others == (INFLATES,)
        assert tracemalloc.get_traced_memory()[1] < 4 * TAGS_BYTES_MAX
    finally:
        tracemalloc.stop()


def test_a_small_compressed_frame_is_read() -> None:
    text = frame(b"TIT2", zlib.compress(b"\x03Dawn"), 4, compressed=True)
    assert parse_id3(tag(text, 4)).texts == (("TITLE", "Dawn"),)
