"""Tags of every kind that mutagen writes are read under one set of names, and none is dropped in silence."""

from __future__ import annotations

import shutil
import struct
import subprocess
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mutagen
import pytest
from mutagen.apev2 import BINARY, APEValue
from mutagen.asf._attrs import ASFByteArrayAttribute
from mutagen.flac import Picture
from mutagen.mp4 import MP4Cover, MP4FreeForm

from render.files.carried.flac_blocks import read_flac
from render.files.carried.tags import Tags, read_tags

JPEG = b"\xff\xd8\xff\xe0 the cover, as bytes"
PNG = b"\x89PNG\r\n\x1a\n the cover, as bytes"


@pytest.fixture
def tagged(tmp_path: Path) -> Callable[..., Tags]:
    """`tagged(name, fields)`: the tags read from a tenth of a second of audio that mutagen tagged."""
    if shutil.which("ffmpeg") is None:
        pytest.skip("ffmpeg is not on PATH")

    def read(name: str, fields: dict[str, Any]) -> Tags:
        path = tmp_path / name
        tone = ("-f", "lavfi", "-i", "sine=duration=0.1:sample_rate=48000")
        subprocess.run(["ffmpeg", "-v", "error", *tone, "-map_metadata", "-1", path], check=True)
        file: Any = mutagen.File(path)
        if file.tags is None:
            file.add_tags()
        for key, value in fields.items():
            file.tags[key] = value
        file.save()
        return read_tags(path)

    return read


def picture(block: bytes) -> tuple[int, str, bytes]:
    """Kind, media type and image of a PICTURE block."""
    read = Picture(block)
    return read.type, read.mime, read.data


def test_an_m4a_files_atoms(tagged: Callable[..., Tags]) -> None:
    tags = tagged(
        "a.m4a",
        {
            "©nam": ["Dawn"],
            "©ART": ["One", "Two"],
            "trkn": [(3, 12)],
            "disk": [(1, 0)],
            "tmpo": [93],
            "cpil": True,
            "----:com.apple.iTunes:MusicBrainz Track Id": [MP4FreeForm("ü-1".encode())],
            "covr": [MP4Cover(PNG, MP4Cover.FORMAT_PNG), MP4Cover(JPEG, MP4Cover.FORMAT_JPEG)],
            "rtng": [1],
        },
    )
    said = [text for text in tags.texts if text[0] != "ENCODER"]
    assert sorted(said) == sorted(
        [
            ("TITLE", "Dawn"), ("ARTIST", "One"), ("ARTIST", "Two"), ("TRACKNUMBER", "3/12"),
            ("DISCNUMBER", "1"), ("BPM", "93"), ("COMPILATION", "1"), ("MUSICBRAINZ TRACK ID", "ü-1"),
        ]
    )  # fmt: skip
    assert [picture(block) for block in tags.pictures] == [(3, "image/png", PNG), (3, "image/jpeg", JPEG)]
    assert tags.others == ("MP4 rtng",)


def test_the_ape_tag_of_a_wavpack_file(tagged: Callable[..., Tags]) -> None:
    tags = tagged(
        "a.wv",
        {
            "Title": "Dawn",
            "Artist": ["One", "Two"],
            "Track": "3/12",
            "Year": "1987",
            "Album Artist": "Both",
            "Cover Art (Front)": APEValue(b"front.jpg\0" + JPEG, BINARY),
            "Fingerprint": APEValue(b"\0\1\2", BINARY),
        },
    )
    said = [text for text in tags.texts if text[0] != "ENCODER"]
    assert sorted(said) == sorted(
        [
            ("TITLE", "Dawn"), ("ARTIST", "One"), ("ARTIST", "Two"), ("TRACKNUMBER", "3/12"),
            ("DATE", "1987"), ("ALBUMARTIST", "Both"),
        ]
    )  # fmt: skip
    assert [picture(block) for block in tags.pictures] == [(3, "image/jpeg", JPEG)]
    assert tags.others == ("APE Fingerprint",)


def test_the_ape_tag_behind_an_mp3_adds_to_its_id3_tag(tmp_path: Path, tagged: Callable[..., Tags]) -> None:
    """Programs keep an MP3's ReplayGain in it; the ID3 tag keeps all it held."""
    from io import BytesIO

    from mutagen.apev2 import APEv2
    from mutagen.id3 import ID3, PRIV, TIT2

    tagged("a.mp3", {"TIT2": TIT2(encoding=3, text="Dawn"), "PRIV": PRIV(owner="o", data=b"1")})
    ape = APEv2()
    ape["Title"], ape["REPLAYGAIN_TRACK_GAIN"] = "another", "-3.00 dB"
    ape.save(tmp_path / "a.mp3")
    tags = read_tags(tmp_path / "a.mp3")
    assert ("TITLE", "Dawn") in tags.texts
    assert ("TITLE", "another") not in tags.texts
    assert ("REPLAYGAIN_TRACK_GAIN", "-3.00 dB") in tags.texts
    id3 = ID3(BytesIO(tags.id3))
    assert (id3["TXXX:REPLAYGAIN_TRACK_GAIN"].text, id3["PRIV:o:1"].data) == (["-3.00 dB"], b"1")


def test_an_mp3_that_has_only_an_ape_tag(tmp_path: Path, tagged: Callable[..., Tags]) -> None:
    from mutagen.apev2 import APEv2
    from mutagen.id3 import ID3

    tagged("a.mp3", {})
    ID3(tmp_path / "a.mp3").delete(tmp_path / "a.mp3")
    ape = APEv2()
    ape["Artist"] = "One"
    ape.save(tmp_path / "a.mp3")
    assert read_tags(tmp_path / "a.mp3") == Tags((("ARTIST", "One"),))


def test_the_id3_tag_before_aac(tmp_path: Path, tagged: Callable[..., Tags]) -> None:
    from mutagen.id3 import ID3, TIT2

    path = tmp_path / "a.aac"
    tone = ("-f", "lavfi", "-i", "sine=duration=0.1:sample_rate=48000")
    tagged("a.mp3", {})  # skips where there is no ffmpeg
    subprocess.run(["ffmpeg", "-v", "error", *tone, path], check=True)
    tag = ID3()
    tag.add(TIT2(encoding=3, text="Dawn"))
    tag.save(path)
    assert read_tags(path).texts == (("TITLE", "Dawn"),)
    assert read_tags(path).others == ()


def test_the_attributes_of_a_wma_file(tagged: Callable[..., Tags]) -> None:
    cover = struct.pack("<BI", 4, len(PNG)) + "image/png\0the back\0".encode("utf-16-le") + PNG
    tags = tagged(
        "a.wma",
        {
            "Title": ["Dawn"],
            "Author": ["One", "Two"],
            "WM/AlbumTitle": ["Days"],
            "WM/TrackNumber": ["3"],
            "WM/Picture": [ASFByteArrayAttribute(cover)],
            "WM/MCDI": [ASFByteArrayAttribute(b"\0\1")],
        },
    )
    said = [text for text in tags.texts if text[0] in ("TITLE", "ARTIST", "ALBUM", "TRACKNUMBER")]
    assert sorted(said) == sorted(
        [("TITLE", "Dawn"), ("ARTIST", "One"), ("ARTIST", "Two"), ("ALBUM", "Days"), ("TRACKNUMBER", "3")]
    )
    assert [picture(block) for block in tags.pictures] == [(4, "image/png", PNG)]
    assert Picture(tags.pictures[0]).desc == "the back"
    assert tags.others == ("ASF WM/MCDI",)


def test_a_wma_picture_that_is_cut_is_told(tagged: Callable[..., Tags]) -> None:
    tags = tagged("a.wma", {"WM/Picture": [ASFByteArrayAttribute(struct.pack("<BI", 3, 99) + b"i\0m\0")]})
    assert not tags.pictures
    assert tags.others == ("ASF WM/Picture",)


@pytest.mark.parametrize("name", ["a.ogg", "a.opus"])
def test_the_comments_of_ogg_files(tagged: Callable[..., Tags], name: str) -> None:
    import base64

    block = Picture()
    block.type, block.mime, block.data = 3, "image/png", PNG
    fields = {
        "title": ["Dawn"],
        "artist": ["One", "Two"],
        "metadata_block_picture": [base64.b64encode(block.write()).decode()],
    }
    tags = tagged(name, fields)
    said = [(key.upper(), value) for key, value in tags.texts if key.upper() != "ENCODER"]
    assert sorted(said) == [("ARTIST", "One"), ("ARTIST", "Two"), ("TITLE", "Dawn")]
    assert [picture(block) for block in tags.pictures] == [(3, "image/png", PNG)]
    assert not tags.others


def test_tags_of_too_many_megabytes_are_named_and_not_read(tmp_path: Path) -> None:
    path = tmp_path / "big.mp3"
    with path.open("wb") as file:
        file.write(b"ID3\4\0\0\x20\0\0\x01")
        file.truncate(70 * 2**20)
    assert read_tags(path).others == (f"an ID3 tag of {64 * 2**20 + 11} bytes, where {64 * 2**20} are read",)
    blocks = b"".join(b"\x06" + (2**23).to_bytes(3) for _ in range(9))
    path = tmp_path / "big.flac"
    with path.open("wb") as file:
        file.write(b"fLaC\0\0\0\x22" + bytes(34))
        for head in (blocks[at : at + 4] for at in range(0, len(blocks), 4)):
            file.write(head)
            file.seek(2**23, 1)
        file.write(b"\x81\0\0\0")
    found = read_flac(path)
    assert [len(block.body) for block in found.blocks] == 8 * [2**23]
    assert found.others == (f"a metadata block of {2**23} bytes beyond the {2**26} that are read",)


def atom(kind: bytes, body: bytes, more: int) -> bytes:
    """An MP4 atom's header and the `body` written here; `more` bytes of it follow."""
    return (8 + len(body) + more).to_bytes(4) + kind + body


def m4a_with_cover(path: Path, nbytes: int) -> None:
    """Writes the atoms down to a cover picture of `nbytes` zeros, without audio."""
    handler = atom(b"hdlr", bytes(8) + b"mdirappl" + bytes(9), 0)
    head = struct.pack(">I4sII", 16 + nbytes, b"data", 13, 0)
    for kind, before in (
        (b"covr", b""),
        (b"ilst", b""),
        (b"meta", bytes(4) + handler),
        (b"udta", b""),
        (b"moov", b""),
    ):
        head = atom(kind, before + head, nbytes)
    with path.open("wb") as file:
        file.write(atom(b"ftyp", b"M4A " + bytes(4), 0) + head)
        file.truncate(file.tell() + nbytes)


def ape_with_cover(path: Path, nbytes: int) -> None:
    """Writes the header of a Monkey's Audio file and a tag with a cover picture of `nbytes` zeros."""
    item = struct.pack("<II", nbytes, 2) + b"Cover Art (Front)\0"
    size = struct.pack("<II", 2000, len(item) + nbytes + 32)
    with path.open("wb") as file:
        file.write(b"MAC " + struct.pack("<H", 3990) + bytes(122))
        file.write(b"APETAGEX" + size + struct.pack("<II", 1, 0xA0000000) + bytes(8) + item)
        file.seek(nbytes, 1)
        file.write(b"APETAGEX" + size + struct.pack("<II", 1, 0x80000000) + bytes(8))


@pytest.mark.parametrize(("name", "make"), [("a.m4a", m4a_with_cover), ("a.ape", ape_with_cover)])
def test_a_cover_of_any_size_costs_bounded_memory(
    tmp_path: Path, name: str, make: Callable[[Path, int], None]
) -> None:
    path = tmp_path / name
    make(path, 10**6)
    tags = read_tags(path)
    assert [len(block) > 10**6 for block in tags.pictures] == [True]
    assert not tags.others
    make(path, 2**30 - 1)
    tracemalloc.start()
    try:
        tags = read_tags(path)
        assert tracemalloc.get_traced_memory()[1] < 80 * 2**20
    finally:
        tracemalloc.stop()
    assert not tags.pictures
    assert tags.others == (f"tags that cannot be read (more than {64 * 2**20} bytes)",)
