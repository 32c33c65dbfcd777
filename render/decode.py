"""Sources that cannot be read in place are decoded once, to temporary PCM that can.

The length that a file promises is checked: every stream is decoded to its true end, and the frames are
compared with the promise. ffmpeg decodes; libsndfile does where ffmpeg cannot or is missing, and comes first
for formats that it recognises by a header of their own. Measured with libsndfile 1.2.2: it loses the end of
an MP3 without a Xing frame, of joined MP3, of chained Ogg and of FLAC with too low a count; it misreads VOC
and 8SVX in several blocks or channels; and it leaves surround in the codec's own order.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import BinaryIO, TypeAlias

import soundfile

from presets.errors import InputError
from presets.report import Shortfall
from render.channels import FLAC_MASKS, XIPH_ORDER
from render.limits import no_stream, truncated
from render.sources import ffmpeg
from render.sources.extent.another_file import joint
from render.sources.links import links, magic, tagged_parts
from render.sources.mov_channels import mov_order
from render.sources.pcm_file import Head, PcmFile
from render.sources.pcm_header import PcmHeader
from render.sources.programs import lack_of
from render.sources.promises import UNKNOWN_FRAMES, Promise, read_promise
from render.sources.stretch import Stretch

BLOCK_FRAMES = 1 << 17
LINKS_MAX = 4096
"""Most streams of a joined file, as each is decoded by its own process; a week of radio has fewer songs."""
MISREAD = ("FLAC", "VOC", "SVX")
"""Formats that libsndfile recognises but ffmpeg reads better."""
GUESSED = "without a Xing frame libsndfile only guesses an MP3's length"
FREE_FORMAT = f"an MP3 of free format, which ffmpeg does not read; {GUESSED}: lame --decode makes a WAV of it"
RAW = (".raw", ".pcm", ".s16", ".s24", ".s32", ".f32", ".s16le", ".s24le", ".s32le", ".f32le")
"""Endings of files that often hold samples alone."""
NO_INDEX = "moov atom not found"
NOT_RECOGNISED = "Format not recognised"
"""What ffmpeg says of MP4 and MOV, and libsndfile of what it does not know."""
NEEDS_FFMPEG = "install ffmpeg and put it on PATH: it reads many formats and streams that libsndfile does not"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to decode, and on which terms.

    Attributes:
        file: the source, open.
        path, name: of the source; the name is for messages.
        stream: which audio stream, 0 the first.
        accept_truncated: take what is there of a source that breaks off or is damaged.
        hook: called often while decoding; stops it by raising.
    """

    file: BinaryIO
    path: Path
    name: str
    stream: int
    accept_truncated: bool
    hook: Callable[[], None]


@dataclass(frozen=True, slots=True)
class Decoded:
    """A temporary file of interleaved little-endian float32.

    Attributes:
        path: the file; the caller removes it.
        head: rate, channels, speakers.
        shortfall: what the source lacks; None when it is whole.
    """

    path: Path
    head: Head
    shortfall: Shortfall | None


Parts: TypeAlias = list[tuple[int, int]]
"""First byte and end of each stream of a file."""
Decoder: TypeAlias = Callable[[Wanted, Parts, Promise, PcmFile], str]
"""Decodes parts of a file; returns "", or why some of the audio is missing."""


def decode(wanted: Wanted, header: PcmHeader | None, folder: Path | None) -> Decoded:
    """The samples of a source, to its true end.

    Args:
        wanted: what to decode.
        header: of a WAV, AIFF, CAF or AU file whose samples are coded.
        folder: where the temporary file goes; the system's temporary folder when None.

    Raises:
        InputError: no decoder can read it, it breaks off, or its samples are outside the limits.
        OutputError: no room in the folder.
    """
    parts = links(wanted.file)
    if len(parts) > LINKS_MAX:
        raise InputError(
            f"{wanted.name} is joined from {len(parts)} streams; up to {LINKS_MAX} can be rendered", "source"
        )
    promise = read_promise(wanted.file, parts, header)
    second = joint(wanted.file, parts, wanted.hook) if header is None else None
    if second is not None:
        parts = [(start, min(end, second)) for start, end in parts if start < second]
    layout = mov_order(wanted.file, wanted.stream)
    reasons: list[str] = []
    best: tuple[PcmFile, Shortfall] | None = None
    with tempfile.TemporaryDirectory(prefix="airband-", dir=folder) as work:
        for number, (decoder, its_parts) in enumerate(_ways(wanted, header, parts)):
            out = PcmFile(Path(work, str(number)), wanted.name, layout)
            try:
                reason = decoder(wanted, its_parts, promise, out)
            finally:
                out.close()
            if not out.frames:
                reasons.append(reason or "it holds no audio (0 frames)")
                continue
            shortfall = _shortfall(promise, out, reason)
            if shortfall is None and second is not None:
                best = out, Shortfall(out.frames, why=f"another file follows at byte {second}")
                break
            if shortfall is None:
                return _kept(out, None, folder)
            if shortfall.promised is None and not promise.cut and decoder is _by_ffmpeg and second is None:
                shortfall = _told_by_container(wanted, out, shortfall)
            if best is None or out.frames > best[0].frames:
                best = out, shortfall
        if best is not None:
            if not wanted.accept_truncated:
                raise truncated(wanted.name, best[1])
            return _kept(*best, folder)
    streams = ffmpeg.audio_streams(wanted.path)
    if streams is not None and wanted.stream >= streams:
        raise no_stream(wanted.name, wanted.stream, streams)
    why = _why_unreadable(wanted, reasons, streams)
    raise InputError(f"{wanted.name} is not audio that can be read: {why}", "source")


def _ways(wanted: Wanted, header: PcmHeader | None, parts: Parts) -> list[tuple[Decoder, Parts]]:
    """The decoders to try, in order, and the parts of the file that each gets."""
    if lack_of("ffmpeg"):
        return [(_by_libsndfile, parts)]
    is_ogg = magic(wanted.file) == b"OggS"
    wanted.file.seek(0)
    head = wanted.file.read(4)
    is_coded = is_ogg or head[:3] == b"ID3" or head[:1] == b"\xff"
    if wanted.stream == 0 and header is None and not is_coded:
        try:
            with soundfile.SoundFile(_stretch(wanted)) as file:
                if file.format not in MISREAD:
                    return [(_by_libsndfile, parts), (_by_ffmpeg, parts)]
        except soundfile.SoundFileError:
            pass
    joined = tagged_parts(wanted.file)  # ffmpeg stumbles over some of the tags inside a stream
    in_parts = [(_by_ffmpeg, joined)] if 1 < len(joined) <= LINKS_MAX else []
    by_libsndfile = [(_by_libsndfile, parts)] if not is_ogg else []  # it skips gaps in Ogg without an error
    return [(_by_ffmpeg, parts), *in_parts, *by_libsndfile]


def _by_ffmpeg(wanted: Wanted, parts: Parts, promise: Promise, out: PcmFile) -> str:
    """See `Decoder`."""
    whole = (0, os.fstat(wanted.file.fileno()).st_size)
    for part in parts:
        link = part if part != whole else None
        ends_anywhere = promise.ends_anywhere
        if reason := ffmpeg.decode(wanted.path, link, wanted.stream, out, wanted.hook, ends_anywhere):
            return reason
    return ""


def _by_libsndfile(wanted: Wanted, parts: Parts, promise: Promise, out: PcmFile) -> str:
    """See `Decoder`."""
    if wanted.stream:
        return f"it has no audio stream {wanted.stream} that libsndfile could read"
    try:
        for start, end in parts:
            with soundfile.SoundFile(_stretch(wanted, start, end)) as file:
                if file.format == "MP3" and promise.frames is None:
                    return FREE_FORMAT if magic(wanted.file)[2] >> 4 == 0 else GUESSED
                is_xiph = file.format == "OGG" and not file.subtype.startswith("FLAC")
                order = XIPH_ORDER.get(file.channels) if is_xiph else None
                known = is_xiph or file.format == "FLAC"
                mask = FLAC_MASKS[file.channels - 1] if known and file.channels <= len(FLAC_MASKS) else 0
                out.begin(Head(file.samplerate, file.channels, mask))
                began = out.frames
                while len(block := file.read(BLOCK_FRAMES, dtype="float32", always_2d=True)):
                    wanted.hook()
                    out.write(block if order is None else block[:, order])
                if out.frames - began < file.frames < UNKNOWN_FRAMES:
                    return f"its header promises {file.frames} frames"
    except soundfile.LibsndfileError as error:
        return str(error.error_string).rstrip(".")
    return ""


def _why_unreadable(wanted: Wanted, reasons: list[str], streams: int | None) -> str:
    """Why no decoder reads a file, and the way out, by what they said and how many streams ffprobe found."""
    lack = lack_of("ffmpeg")
    if lack:
        return f"{'; '.join(reasons)}; {NEEDS_FFMPEG} ({lack})"
    if NO_INDEX in reasons:
        return (
            "its index (moov), which is written last, is missing: the recording, or its copy, was never "
            "finished. Copy it again, or rebuild it with untrunc and a whole recording of the same device"
        )
    if streams is not None or NOT_RECOGNISED not in reasons:
        return "; ".join(reasons)
    if wanted.path.suffix.lower() not in RAW:
        return "neither libsndfile nor FFmpeg knows its format, or it is damaged"
    made = f"ffmpeg -f s16le -ar 44100 -ac 2 -i {quote(wanted.name)} {quote(wanted.path.stem + '.wav')}"
    return f"it has no header that says its rate and format; with these, make a WAV of it, as by `{made}`"


def _stretch(wanted: Wanted, start: int = 0, end: int | None = None) -> Stretch:
    descriptor = wanted.file.fileno()
    return Stretch(descriptor, start, os.fstat(descriptor).st_size if end is None else end)


def _shortfall(promise: Promise, out: PcmFile, reason: str) -> Shortfall | None:
    held = out.frames
    if promise.frames is not None:
        if held < promise.frames - promise.slack:
            return Shortfall(held, promise.frames)
        return Shortfall(held, why=reason) if reason.startswith(ffmpeg.WRONG_SUM) else None
    if promise.share < 1:
        return Shortfall(held, round(held / promise.share))
    if why := promise.cut or reason:
        return Shortfall(held, why=why)
    return None


def _told_by_container(wanted: Wanted, out: PcmFile, shortfall: Shortfall) -> Shortfall:
    """The shortfall with the number of frames that the container promises, unless that is an estimate."""
    probed = ffmpeg.probe(wanted.path, wanted.stream)
    if probed is None or probed.seconds is None or out.head is None or probed.is_estimate:
        return shortfall
    promised = round(probed.seconds * out.head.rate)
    return Shortfall(shortfall.held, promised) if promised > shortfall.held else shortfall


def _kept(out: PcmFile, shortfall: Shortfall | None, folder: Path | None) -> Decoded:
    """Moves the file out of the folder that is about to be removed."""
    assert out.head is not None
    handle, path = tempfile.mkstemp(prefix="airband-", suffix=".f32", dir=folder)
    os.close(handle)
    os.replace(out.path, path)
    return Decoded(Path(path), out.head, shortfall)
