"""Carries the metadata of a source over to the stem, as far as the stem's format has a place for it.

A stem of its source's own kind gets all of it: chunks of WAV and AIFF files, blocks and comments of FLAC.
Texts, pictures, cues and markers are carried between kinds. Positions follow the audio: they are rescaled
when the rate changes and moved when a selection is rendered. What no longer holds (checksums, peak envelopes,
measured loudness in bext) is dropped; what has no place in the stem is reported by name.
"""

from __future__ import annotations

import os
import struct
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

from presets.errors import OutputError
from presets.knobs import Format
from render.files.carried import aiff_chunks, broadcast, sampler, wave_chunks
from render.files.carried.aiff_chunks import Marker
from render.files.carried.chunks import (
    AnyChunk,
    Chunk,
    Chunks,
    append_chunks,
    form_of,
    name_of,
    read_chunks,
    rename_form,
)
from render.files.carried.flac_blocks import PICTURE, Block, chapters, moved_blocks, read_flac, write_flac
from render.files.carried.tags import Tag, Tags, parse_id3, read_tags, to_id3
from render.files.carried.timing import Provenance, Timing
from render.files.headers import AIFC_INTEGERS, EXTENSIBLE, SUBFORMAT
from render.sources.container_tags import ContainerTags, Place, caf_places, chunk_names, container_tags
from render.sources.tag_search import TAGS_BYTES_MAX, id3_bytes, id3_nbytes

AUDIO_CHUNKS = frozenset({b"fmt ", b"fact", b"data", b"ds64", b"COMM", b"SSND", b"FVER"})
"""Chunks that describe the samples; the stem has its own."""
STALE_CHUNKS = frozenset({b"PEAK", b"MD5 ", b"levl", b"JUNK", b"junk", b"FLLR", b"PAD ", b"slnt", b"CHAN"})
"""Chunks that are valid for the source's samples only, or padding."""
WAVE_FORMS, AIFF_FORMS = (b"RIFF", b"RF64", b"BW64"), (b"AIFF", b"AIFC")
FLAC = b"fLaC"
SOFTWARE = "AIRBAND"
"""The Vorbis comment that says what was done; each render adds one."""

NOTHING = Tags()

Names: TypeAlias = list[str]


@dataclass(frozen=True, slots=True)
class Metadata:
    """The metadata of a file.

    Attributes:
        form: RIFF, RF64, BW64, AIFF, AIFC or fLaC; empty for other files.
        chunks: of a WAV or AIFF file, without those that describe the samples.
        blocks: of a FLAC file, without comments and those that describe the samples.
        tags: texts and pictures, whatever holds them; of a FLAC file all comments.
        seeks: whether a FLAC file has seek points.
        made: what was done, in a line; empty for a source.
        places: of a source: chapters and markers of its container.
        for_wave: of a stem: chunks to write to a WAV file: iXML with what was done, and what else it can
            hold.
        for_aiff, for_flac: of a stem: the places as AIFF chunks and as FLAC comments.
        wording: how the sample format is named, where not as usual: the end of a WAV subformat's GUID (for
            instance of ambisonics), or AIFF-C's name of plain integers.
        others: names of what was found and cannot be carried to any file.
    """

    form: bytes = b""
    chunks: tuple[AnyChunk, ...] = ()
    blocks: tuple[Block, ...] = ()
    tags: Tags = NOTHING
    seeks: bool = False
    made: str = ""
    places: tuple[Place, ...] = ()
    for_wave: tuple[Chunk, ...] = ()
    for_aiff: tuple[Chunk, ...] = ()
    for_flac: tuple[Tag, ...] = ()
    wording: bytes = b""
    others: tuple[str, ...] = ()

    def left_out(self, format: Format) -> tuple[str, ...]:
        """The names of what a stem of this format has no place for."""
        names = {"wav": _for_wave, "aiff": _for_aiff, "flac": _for_flac}[format](self)[1]
        if self.form in WAVE_FORMS and self.wording and format != "wav":
            names.append("subformat")
        return tuple(dict.fromkeys([*self.others, *names]))


def read(path: Path) -> Metadata:
    """The metadata of an audio file; what cannot be read of it is named in `others`."""
    form = form_of(path)
    if form == b"RIFX":
        return _read_big_endian(path)
    if form:
        return _read_chunked(path)
    with path.open("rb") as file:
        head = file.read(8)
    flac = read_flac(path) if head[:4] in (FLAC, b"ID3\3", b"ID3\4") else None
    if flac is not None and "metadata that cannot be read" not in flac.others:
        pictures = tuple(block.body for block in flac.blocks if block.kind == PICTURE)
        tags = Tags(flac.comments, pictures)
        return Metadata(FLAC, (), flac.blocks, tags, flac.seeks, others=flac.others)
    tags, container, others = read_tags(path), ContainerTags(), chunk_names(path)
    if tags.texts or tags.pictures:
        if head[4:] == b"ftyp":  # mutagen reads only one of the two kinds of chapters in MP4
            container = container_tags(path)
    else:
        texts = _known_texts(path)
        container = ContainerTags() if texts else container_tags(path)
        unread = () if container.texts else tags.others
        tags = replace(tags, texts=texts or container.texts, others=unread)
        others = (*others, *container.others)
    return Metadata(tags=tags, places=caf_places(path) or container.places, others=others)


def carried(source: Metadata, timing: Timing, made: Provenance) -> Metadata:
    """The stem's metadata: the source's, moved to the stem's time line, with what was done added.

    Args:
        source: as read from the job's own source, never from a cached result.
        timing: where the stem lies.
        made: what was done.
    """
    chunks: list[AnyChunk] = [chunk for chunk in source.chunks if chunk.name not in STALE_CHUNKS]
    blocks: list[Block] = list(source.blocks)
    before = Counter(map(name_of, chunks))
    lost: Names = []
    if source.form in WAVE_FORMS:
        chunks = wave_chunks.moved_chunks(chunks, timing, made)
    elif source.form in AIFF_FORMS:
        chunks = aiff_chunks.moved_chunks(chunks, timing)
    elif source.form == FLAC:
        blocks, lost = moved_blocks(source.blocks, timing)
    lost += (before - Counter(map(name_of, chunks))).elements()
    places = _moved_places(source.places, timing)
    tags = replace(source.tags, texts=broadcast.moved(source.tags.texts, timing))
    return Metadata(
        form=source.form,
        chunks=tuple(chunks),
        blocks=tuple(blocks),
        tags=tags,
        seeks=source.seeks,
        made=made.line(),
        for_wave=(
            Chunk(b"iXML", broadcast.ixml(b"", timing, made)),
            *wave_chunks.with_history(broadcast.bext(tags.texts), made),
            *sampler.for_wave(chunks, timing.rate_out),
            *(wave_chunks.cues(places) if places else ()),
        ),
        for_aiff=(Chunk(b"MARK", aiff_chunks.marked(places)),) if places else (),
        for_flac=chapters(places, timing.rate_out),
        wording=source.wording,
        others=(*source.others, *lost),
    )


def attach(path: Path, format: Format, metadata: Metadata) -> None:
    """Gives a finished stem its metadata; the audio is not touched.

    Args:
        path: nobody else reads it yet.
        format: of the stem.
        metadata: from `carried`.

    Raises:
        OutputError: no room, or a chunk or block that is too large for the format.
    """
    try:
        if format == "flac":
            comments, blocks = _for_flac(metadata)[0]
            write_flac(path, comments, blocks, metadata.seeks)
            return
        append_chunks(path, (_for_wave if format == "wav" else _for_aiff)(metadata)[0])
        if metadata.form == b"BW64" and form_of(path) == b"RF64":
            rename_form(path, b"BW64")
    except OSError as error:
        raise OutputError(f"{path.parent}: cannot be written: {error.strerror or error}", str(path)) from None


def said(metadata: Metadata) -> Counter[str]:
    """How many items of metadata a file holds, by name; an edit compares this before and after."""
    chunks = [chunk for chunk in metadata.chunks if chunk.name not in STALE_CHUNKS]
    names = [*map(name_of, chunks), *(block.name for block in metadata.blocks)]
    names += [name.upper() for name, _ in metadata.tags.texts]
    return Counter([*names, *(["picture"] * len(metadata.tags.pictures)), *metadata.others])


def _read_chunked(path: Path) -> Metadata:
    found = read_chunks(path)
    chunks = tuple(chunk for chunk in found.chunks if chunk.name not in AUDIO_CHUNKS)
    others: Names = [f"{found.stray_bytes} bytes after the last chunk"] if found.stray_bytes > 1 else []
    if weight := id3_nbytes(path):  # before the file, where some programs put it
        if weight > TAGS_BYTES_MAX or any(chunk.name.lower() == b"id3 " for chunk in chunks):
            others.append(f"an ID3 tag of {weight} bytes before the file")
        else:
            chunks = (*chunks, Chunk(b"ID3 " if found.form in AIFF_FORMS else b"id3 ", id3_bytes(path)))
    texts: list[Tag] = []
    pictures: tuple[bytes, ...] = ()
    for chunk in chunks:
        if not isinstance(chunk, Chunk):
            continue
        if chunk.name == b"LIST" and chunk.body[:4] == b"INFO":
            texts += wave_chunks.info_texts(chunk.body)
        elif found.form in AIFF_FORMS and chunk.name in aiff_chunks.NAMES:
            texts.append((aiff_chunks.NAMES[chunk.name], wave_chunks.text_of(chunk.body)))
        elif chunk.name.lower() == b"id3 ":
            tags = parse_id3(chunk.body)
            have = {name for name, _ in texts}
            texts += [tag for tag in tags.texts if tag[0] not in have]
            pictures += tags.pictures
    tags = Tags(tuple(texts), pictures)
    return Metadata(found.form, chunks, (), tags, others=tuple(others), wording=_wording(found))


def _wording(found: Chunks) -> bytes:
    about = next((c.body for c in found.chunks if isinstance(c, Chunk) and c.name in (b"fmt ", b"COMM")), b"")
    if found.form in WAVE_FORMS:
        end = about[26:40] if about[:2] == struct.pack("<H", EXTENSIBLE) else b""
        return end if len(end) == len(SUBFORMAT) and end != SUBFORMAT else b""
    return about[18:22] if about[18:22] in AIFC_INTEGERS else b""


def _read_big_endian(path: Path) -> Metadata:
    """The texts of a RIFX file, whose chunks have the other byte order, and the names of the rest."""
    texts: list[Tag] = []
    others: Names = []
    for chunk in read_chunks(path).chunks:
        if isinstance(chunk, Chunk) and chunk.name == b"LIST" and chunk.body[:4] == b"INFO":
            texts += wave_chunks.info_texts(chunk.body, ">")
        elif chunk.name not in AUDIO_CHUNKS | STALE_CHUNKS:
            others.append(f"RIFX {name_of(chunk)}")
    return Metadata(tags=Tags(tuple(texts)), others=tuple(others))


def _for_wave(metadata: Metadata) -> tuple[list[AnyChunk], Names]:
    if metadata.form in WAVE_FORMS:
        return list(metadata.chunks), []
    texts = _list(metadata.tags.texts)
    chunks: list[AnyChunk] = sorted(metadata.for_wave, key=lambda chunk: chunk.name != b"bext")
    chunks += wave_chunks.info_list(texts)
    kept, lost = set(), list(metadata.tags.others if not metadata.tags.id3 else ())
    if any(chunk.name == b"inst" for chunk in metadata.for_wave):
        kept |= {b"INST"}
    own = next((chunk for chunk in metadata.chunks if chunk.name == b"ID3 "), None)
    tag = metadata.tags.id3 or to_id3(metadata.tags.texts, metadata.tags.pictures)
    if isinstance(own, Chunk):
        tag = own.body
    if tag:
        chunks.append(Chunk(b"id3 ", tag))
        kept |= {b"ID3 "}
    places = [marker for chunk in metadata.chunks for marker in aiff_chunks.markers(chunk)]
    if places:
        chunks += wave_chunks.cues(places)
        kept |= {b"MARK"}
    lost += [name_of(c) for c in metadata.chunks if c.name not in kept and c.name not in aiff_chunks.NAMES]
    return chunks, lost + [block.name for block in metadata.blocks if block.kind != PICTURE]


def _for_aiff(metadata: Metadata) -> tuple[list[AnyChunk], Names]:
    made: list[AnyChunk] = [Chunk(b"ANNO", metadata.made.encode())] if metadata.made else []
    if metadata.form in AIFF_FORMS:
        return [*metadata.chunks, *made], []
    chunks: list[AnyChunk] = [*aiff_chunks.text_chunks(_list(metadata.tags.texts))]
    own = next((chunk for chunk in metadata.chunks if chunk.name.lower() == b"id3 "), None)
    tag = metadata.tags.id3 or to_id3(metadata.tags.texts, metadata.tags.pictures)
    if isinstance(own, Chunk):
        tag = own.body
    if tag:
        chunks.append(Chunk(b"ID3 ", tag))
    chunks += metadata.for_aiff
    lost = [*(metadata.tags.others if not metadata.tags.id3 else ())]
    cues = wave_chunks.markers(metadata.chunks)  # their numbers may be larger than a marker's
    places = [cue._replace(number=number) for number, cue in enumerate(cues, start=1)]
    loops, instrument = sampler.for_aiff(metadata.chunks, [place.number for place in places])
    if places or loops:
        chunks.append(Chunk(b"MARK", aiff_chunks.marked([*places, *loops])))
    if instrument:
        chunks.append(Chunk(b"INST", instrument))
    said_elsewhere = {"LIST INFO", "id3", "ID3", *(("cue", "LIST adtl") if places else ())}
    said_elsewhere |= {"smpl", "inst"} if instrument else set()
    lost += [
        name
        for chunk in metadata.chunks
        if (name := name_of(chunk)) not in said_elsewhere and chunk not in metadata.for_wave
    ]
    return [*chunks, *made], lost + [block.name for block in metadata.blocks if block.kind != PICTURE]


def _for_flac(metadata: Metadata) -> tuple[tuple[list[Tag], list[Block]], Names]:
    made = [(SOFTWARE, metadata.made)] if metadata.made else []
    comments = [*metadata.tags.texts, *_broadcast_texts(metadata), *metadata.for_flac, *made]
    if metadata.form == FLAC:
        return (comments, list(metadata.blocks)), []
    blocks = [Block(PICTURE, picture) for picture in metadata.tags.pictures]
    lost = list(metadata.tags.others)
    for chunk in metadata.chunks:
        if isinstance(chunk, Chunk) and chunk.name.lower() == b"id3 ":
            lost += parse_id3(chunk.body).others
        elif name_of(chunk) == "LIST INFO" or (chunk.name == b"bext" and _broadcast_texts(metadata)):
            continue
        elif chunk.name not in aiff_chunks.NAMES and chunk not in metadata.for_wave:
            lost.append(name_of(chunk))
    return (comments, blocks), lost


def _broadcast_texts(metadata: Metadata) -> list[Tag]:
    """The texts of a WAV file's bext, without those whose names its tags have already."""
    have = {name.upper() for name, _ in metadata.tags.texts}
    bodies = [c.body for c in metadata.chunks if isinstance(c, Chunk) and c.name == b"bext"]
    return [tag for body in bodies for tag in broadcast.texts(body) if tag[0] not in have]


def _list(texts: tuple[Tag, ...]) -> list[Tag]:
    """The texts with one value for each name: several are joined by semicolons."""
    joined: dict[str, str] = {}
    for name, text in texts:
        key = name.upper()
        joined[key] = f"{joined[key]}; {text}" if key in joined else text
    return list(joined.items())


def _moved_places(places: Sequence[Place], timing: Timing) -> list[Marker]:
    """Places on the stem's time line, numbered from 1 on; those outside a selection are dropped."""
    frames = [(timing.position(round(place.at_s * timing.rate_in)), place.name) for place in places]
    there = [(frame, name) for frame, name in frames if frame is not None]
    return [Marker(number, frame, name.encode()) for number, (frame, name) in enumerate(there, start=1)]


def _known_texts(path: Path) -> tuple[Tag, ...]:
    """The texts that libsndfile reads of files whose tags mutagen does not: CAF, W64, ..."""
    import soundfile

    try:
        with soundfile.SoundFile(os.fsencode(path)) as file:
            return tuple((name.upper(), text) for name, text in file.copy_metadata().items() if text)
    except (soundfile.SoundFileError, TypeError):
        return ()
