"""Tags and cover pictures of any audio file, under one set of names: those of Vorbis comments.

mutagen reads ID3 (MP3, AAC, and chunks of WAV and AIFF files), Vorbis comments, MP4, APE and ASF. A name that
a format does not have becomes a free field there (`TXXX` in ID3); what is neither text nor picture is
reported by name.

Sources: https://id3.org/id3v2.4.0-frames, https://xiph.org/vorbis/doc/v-comment.html, and the mappings at
https://picard-docs.musicbrainz.org/en/appendices/tag_mapping.html
"""

from __future__ import annotations

import base64
import io
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from render.sources.id3_frames import inflates_beyond
from render.sources.tag_search import TAGS_BYTES_MAX, find_ape, find_tags, id3_bytes, id3_nbytes

Tag = tuple[str, str]
"""A name in capitals and one of its values; a name may come several times."""

ID3_TEXTS = {
    "TIT1": "GROUPING", "TIT2": "TITLE", "TIT3": "SUBTITLE", "TPE1": "ARTIST", "TPE2": "ALBUMARTIST",
    "TPE3": "CONDUCTOR", "TPE4": "REMIXER", "TALB": "ALBUM", "TRCK": "TRACKNUMBER", "TPOS": "DISCNUMBER",
    "TCON": "GENRE", "TDRC": "DATE", "TDOR": "ORIGINALDATE", "TDRL": "RELEASEDATE", "TDTG": "TAGGINGDATE",
    "TCOM": "COMPOSER", "TEXT": "LYRICIST", "TCOP": "COPYRIGHT", "TPRO": "PRODUCED", "TPUB": "PUBLISHER",
    "TENC": "ENCODEDBY", "TSSE": "ENCODER", "TBPM": "BPM", "TKEY": "INITIALKEY", "TSRC": "ISRC",
    "TLAN": "LANGUAGE", "TMED": "MEDIA", "TMOO": "MOOD", "TSST": "DISCSUBTITLE", "TOPE": "ORIGINALARTIST",
    "TOAL": "ORIGINALALBUM", "TOLY": "ORIGINALLYRICIST", "TOFN": "ORIGINALFILENAME", "TOWN": "OWNER",
    "TSOA": "ALBUMSORT", "TSOP": "ARTISTSORT", "TSOT": "TITLESORT", "TSO2": "ALBUMARTISTSORT",
    "TSOC": "COMPOSERSORT", "TCMP": "COMPILATION", "TLEN": "LENGTH", "TFLT": "FILETYPE", "TDLY": "DELAY",
}  # fmt: skip
ID3_NAMES = {name: frame for frame, name in ID3_TEXTS.items()}
MP4_TEXTS = {
    "©nam": "TITLE", "©ART": "ARTIST", "aART": "ALBUMARTIST", "©alb": "ALBUM", "©day": "DATE",
    "©gen": "GENRE", "©wrt": "COMPOSER", "©cmt": "COMMENT", "©lyr": "LYRICS", "©grp": "GROUPING",
    "©too": "ENCODER",
    "cprt": "COPYRIGHT", "desc": "DESCRIPTION", "ldes": "LONGDESCRIPTION", "trkn": "TRACKNUMBER",
    "disk": "DISCNUMBER", "tmpo": "BPM", "cpil": "COMPILATION", "pgap": "GAPLESS", "soal": "ALBUMSORT",
    "soar": "ARTISTSORT", "soaa": "ALBUMARTISTSORT", "sonm": "TITLESORT", "soco": "COMPOSERSORT",
    "©mvn": "MOVEMENTNAME", "©wrk": "WORK", "tvsh": "TVSHOW", "purl": "PODCASTURL", "keyw": "KEYWORDS",
}  # fmt: skip
APE_NAMES = {
    "TRACK": "TRACKNUMBER", "DISC": "DISCNUMBER", "YEAR": "DATE", "ALBUM ARTIST": "ALBUMARTIST"
}  # fmt: skip
ASF_NAMES = {
    "AUTHOR": "ARTIST", "ALBUMTITLE": "ALBUM", "YEAR": "DATE", "BEATSPERMINUTE": "BPM",
    "DESCRIPTION": "COMMENT",
    "PARTOFSET": "DISCNUMBER", "ENCODEDBY": "ENCODEDBY", "TITLE": "TITLE",
}  # fmt: skip
FRONT_COVER = 3
INFLATES = f"an ID3 tag whose compressed frames hold more than {TAGS_BYTES_MAX} bytes"


@dataclass(frozen=True, slots=True)
class Tags:
    """What a tag says.

    Attributes:
        texts: names and values, in order.
        pictures: each as the content of a FLAC PICTURE block.
        id3: the ID3v2 tag as it stands, where there is one.
        others: names of what is neither text nor picture.
    """

    texts: tuple[Tag, ...] = ()
    pictures: tuple[bytes, ...] = ()
    id3: bytes = b""
    others: tuple[str, ...] = ()


def read_tags(path: Path) -> Tags:
    """The tags of a file that is neither WAV, AIFF nor FLAC; none where mutagen finds none."""
    from mutagen.apev2 import APEv2
    from mutagen.asf import ASFTags
    from mutagen.id3 import ID3
    from mutagen.mp4 import MP4Tags

    weight = id3_nbytes(path)
    if weight > TAGS_BYTES_MAX:
        return Tags(others=(f"an ID3 tag of {weight} bytes, where {TAGS_BYTES_MAX} are read",))
    if weight and inflates_beyond(id3_bytes(path), TAGS_BYTES_MAX):
        return Tags(others=(INFLATES,))
    try:
        found = find_tags(path)
        if found is None or isinstance(found, ID3):
            return _with_ape(path, Tags() if found is None else from_id3(found, id3_bytes(path)))
        if isinstance(found, MP4Tags):
            return _from_mp4(found)
        if isinstance(found, APEv2):
            return _from_ape(found)
        if isinstance(found, ASFTags):
            return _from_asf(found)
        return _from_vorbis(found) if found else Tags()
    except UNREADABLE as error:
        return Tags(others=(f"tags that cannot be read ({str(error) or type(error).__name__})",))


def _unreadable() -> tuple[type[Exception], ...]:
    from mutagen import MutagenError

    # mutagen lets these through where a tag is damaged in a way it does not foresee.
    return (
        MutagenError,
        ValueError,
        LookupError,
        EOFError,
        struct.error,
        ArithmeticError,
        TypeError,
        AttributeError,
    )


UNREADABLE = _unreadable()


def parse_id3(tag: bytes) -> Tags:
    """What an ID3v2 tag says."""
    from mutagen.id3 import ID3

    if inflates_beyond(tag, TAGS_BYTES_MAX):
        return Tags(others=(INFLATES,))
    try:
        return from_id3(ID3(io.BytesIO(tag)), tag)
    except UNREADABLE as error:
        return Tags(id3=tag, others=(f"an ID3 tag that cannot be read ({error})",))


def from_id3(tag: Any, raw: bytes = b"") -> Tags:
    """What a mutagen ID3 tag says; `raw` are its bytes."""
    from mutagen.flac import Picture

    texts: list[Tag] = []
    pictures, others = [], list(map(_frame_name, tag.unknown_frames))
    for key, frame in tag.items():
        kind = key[:4]
        if kind in ID3_TEXTS:
            texts += [(ID3_TEXTS[kind], _meant(str(text), frame)) for text in frame.text]
        elif kind == "TXXX":
            texts += [(frame.desc.upper() or "TEXT", _meant(str(text), frame)) for text in frame.text]
        elif kind == "COMM":
            plain = frame.desc in ("", "ID3v1 Comment")  # the latter is LAME's
            name = "COMMENT" if plain else f"COMMENT:{frame.desc}"
            texts += [(name.upper(), _meant(str(text), frame)) for text in frame.text]
        elif kind == "USLT":
            texts.append(("LYRICS", _meant(frame.text, frame)))
        elif kind == "WXXX":
            texts.append(("URL", frame.url))
        elif kind == "APIC":
            picture = Picture()
            picture.type, picture.mime, picture.desc, picture.data = (
                frame.type,
                frame.mime,
                frame.desc,
                frame.data,
            )
            pictures.append(picture.write())
        else:
            others.append(f"ID3 {kind}")
    return Tags(tuple(texts), tuple(pictures), raw, tuple(others))


def to_id3(texts: Iterable[Tag], pictures: Iterable[bytes]) -> bytes:
    """An ID3v2.4 tag of texts and pictures, without padding."""
    from mutagen import id3
    from mutagen.flac import Picture

    tag = id3.ID3()
    values: dict[str, list[str]] = {}
    for name, value in texts:
        values.setdefault(name.upper(), []).append(value)
    for name, texts_of in values.items():
        base, _, desc = name.partition(":")
        if name in ID3_NAMES:
            tag.add(getattr(id3, ID3_NAMES[name])(encoding=3, text=texts_of))
        elif base == "COMMENT":
            tag.add(id3.COMM(encoding=3, lang="XXX", desc=desc, text=texts_of))
        elif name == "LYRICS":
            tag.add(id3.USLT(encoding=3, lang="XXX", desc="", text="\n".join(texts_of)))
        else:
            tag.add(id3.TXXX(encoding=3, desc=name, text=texts_of))
    for number, block in enumerate(pictures):
        picture = Picture(block)
        desc = picture.desc or (
            "" if number == 0 else str(number)
        )  # frames of one description replace each other
        tag.add(id3.APIC(encoding=3, mime=picture.mime, type=picture.type, desc=desc, data=picture.data))
    if not tag:
        return b""
    with io.BytesIO() as file:
        tag.save(file, v2_version=4, padding=lambda _: 0)
        return file.getvalue()


def _meant(text: str, frame: Any) -> str:
    """A frame's text; taken for UTF-8 where it says Latin-1 but is UTF-8, as many writers (such as
    libsndfile) have it."""
    if frame.encoding == 0:
        try:
            return text.encode("latin-1").decode()
        except UnicodeError:
            pass
    return text


def _frame_name(frame: bytes) -> str:
    return f"ID3 {frame[:4].decode('ascii', 'replace')}"


def _with_ape(path: Path, tags: Tags) -> Tags:
    """A file's own tags, with what an APE tag at its end adds to them."""
    try:
        found = find_ape(path)
        ape = Tags() if found is None else _from_ape(found)
    except UNREADABLE as error:
        ape = Tags(others=(f"an APE tag that cannot be read ({error})",))
    have = {name.upper() for name, _ in tags.texts}
    texts = tuple(tag for tag in ape.texts if tag[0] not in have)
    id3 = _extended(tags.id3, texts) if tags.id3 and texts else tags.id3
    return Tags((*tags.texts, *texts), tags.pictures or ape.pictures, id3, (*tags.others, *ape.others))


def _extended(raw: bytes, texts: Iterable[Tag]) -> bytes:
    """An ID3v2.4 tag with all frames of another tag, and these texts."""
    from mutagen.id3 import ID3

    tag = ID3(io.BytesIO(raw))
    for frame in ID3(io.BytesIO(to_id3(texts, ()))).values():
        tag.add(frame)
    with io.BytesIO() as file:
        tag.save(file, v2_version=4, padding=lambda _: 0)
        return file.getvalue()


def _from_vorbis(tag: Any) -> Tags:
    texts, pictures, others = [], [], []
    for name, value in tag:
        if name.upper() == "METADATA_BLOCK_PICTURE":
            try:
                pictures.append(base64.b64decode(value, validate=True))
            except ValueError:
                others.append("a METADATA_BLOCK_PICTURE that cannot be read")
        elif name.upper() == "COVERART":
            pictures.append(_cover(base64.b64decode(value)))
        elif name.upper() != "COVERARTMIME":
            texts.append((name, value))
    return Tags(tuple(texts), tuple(pictures), b"", tuple(others))


def _from_mp4(tag: Any) -> Tags:
    texts, pictures, others = [], [], []
    for key, values in tag.items():
        if key == "covr":
            pictures += [_cover(bytes(data)) for data in values]
        elif key.startswith("----:"):
            texts += [
                (key.rpartition(":")[2].upper(), bytes(value).decode("utf-8", "replace")) for value in values
            ]
        elif key in ("trkn", "disk"):
            texts += [(MP4_TEXTS[key], f"{n}/{of}" if of else str(n)) for n, of in values]
        elif key in MP4_TEXTS:
            for value in values if isinstance(values, list) else [values]:
                texts.append((MP4_TEXTS[key], str(int(value)) if isinstance(value, bool) else str(value)))
        else:
            others.append(f"MP4 {key}")
    return Tags(tuple(texts), tuple(pictures), b"", tuple(others))


def _from_ape(tag: Any) -> Tags:
    from mutagen.apev2 import BINARY

    texts, pictures, others = [], [], []
    for key, value in tag.items():
        name = key.upper()
        if value.kind != BINARY:
            texts += [(APE_NAMES.get(name, name), str(text)) for text in value]
        elif name.startswith("COVER ART"):
            pictures.append(_cover(value.value.partition(b"\0")[2]))
        else:
            others.append(f"APE {key}")
    return Tags(tuple(texts), tuple(pictures), b"", tuple(others))


def _from_asf(tag: Any) -> Tags:
    texts, pictures, others = [], [], []
    for key, value in tag:
        name = key.upper().removeprefix("WM/")
        if isinstance(value, str) or (hasattr(value, "value") and isinstance(value.value, str | int)):
            texts.append((ASF_NAMES.get(name, name), str(value)))
        elif name == "PICTURE" and (block := _asf_picture(value.value)):
            pictures.append(block)
        else:
            others.append(f"ASF {key}")
    return Tags(tuple(texts), tuple(pictures), b"", tuple(others))


def _asf_picture(value: bytes) -> bytes:
    """The content of WM/Picture as a FLAC PICTURE block; empty where it is not whole.

    Source: https://learn.microsoft.com/en-us/windows/win32/wmformat/wm-picture
    """
    from mutagen.flac import Picture

    words, length = value[5:], int.from_bytes(value[1:5], "little")
    data = words[len(words) - length :]
    mime, _, rest = words[: len(words) - length].decode("utf-16-le", "replace").partition("\0")
    if not value or not 0 < length < len(words) or not rest.endswith("\0"):
        return b""
    picture = Picture()
    picture.type, picture.mime, picture.desc, picture.data = value[0], mime, rest[:-1], data
    block: bytes = picture.write()
    return block


def _cover(data: bytes) -> bytes:
    """A front cover of which only the image is known."""
    from mutagen.flac import Picture

    picture = Picture()
    picture.type, picture.data = FRONT_COVER, data
    picture.mime = "image/png" if data.startswith(b"\x89PNG") else "image/jpeg"
    block: bytes = picture.write()
    return block
