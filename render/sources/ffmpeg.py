"""ffmpeg as a decoder: the samples of one audio stream, channels in the WAV order, block by block.

It writes a float WAV to its standard output, whose header gives rate, channels and speakers.
"""

from __future__ import annotations

import json
import re
import subprocess
import tempfile
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any

import numpy as np

from presets.errors import InputError
from render.sources.pcm_file import Head, PcmFile
from render.sources.pcm_header import read_stream_head
from render.sources.programs import ended, lack_of
from render.waiting import wait_for

FORMATS = (
    "mov,matroska,aac,ac3,eac3,dts,dtshd,truehd,asf,avi,mpegts,mpeg,mp3,ogg,flac,wav,w64,aiff,au,caf,ape,tta,wv,amr,"
    "flv,mpc,mpc8,tak,shn,dsf,iff,voc,xwma,rm,sox,ircam,mxf,gxf,nut,wtv,mlp,loas,swf,roq,adx,hcom,mmf,oma,qcp,nistsphere"
)
"""Containers it may open: none that refers to other files or addresses (playlists, concat scripts), and none
without a header that is recognised by the file's name alone."""
GUARD = ("-protocol_whitelist", "file,subfile", "-format_whitelist", FORMATS)
SELF_SYNCHRONISING = frozenset({"mp3", "aac", "ac3", "eac3", "dts", "mpegts"})
"""Streams without a length of their own, which a recorder may end anywhere: the last packet may be
incomplete, and the duration is an estimate."""
TAIL_FRAMES = 1 << 14
"""An error within this distance of the end is in the last packet: ffmpeg decodes a few packets ahead of what
it writes."""
BLOCK_BYTES = 1 << 20
FIELDS = "format=format_name,duration:stream=index"
"""What ffprobe is asked for, of a file and of a stream."""
PASSES_OVER = ("matroska,webm", "ogg")
"""Demuxers that skip damaged bytes: an error that they report is a loss, though ffmpeg does not fail."""
CHECKED = ("-xerror", "-err_detect", "crccheck")
"""Stops at the first error, and compares what is decoded with the checksums that lossless codecs keep."""
WRONG_SUM = "CRC error"
"""What the FLAC decoder reports of damaged samples, which it outputs all the same."""
READER = re.compile(r"(?:\[\S* @ [^\]]*\] )?\[info\] Input #0, (\S+), from ")
"""Names the demuxer that reads the file."""
SHAPE = re.compile(r"\[graph\S* @ .*samplerate:(\d+) chlayout:(\S+)")
"""Rate and speakers of what follows; printed once a stream, unless they change within it."""
PROBLEM = re.compile(r"(?:\[(\S*) @ [^\]]*\] )?\[(?:error|fatal)\] (.*)")
"""An error: who reports it, and what; a demuxer has its own name up to ffmpeg 7, `in#0` or `in#0/name`
since."""


@dataclass(frozen=True, slots=True)
class Probe:
    """What ffprobe tells of a file and of one of its audio streams.

    Attributes:
        container: ffmpeg's name for it.
        seconds: of the stream; None where it has none.
        rate, channels: of the stream; 0 where there is no such stream, or nothing is told.
    """

    container: str
    seconds: float | None
    rate: int
    channels: int

    @property
    def is_estimate(self) -> bool:
        """Whether the seconds come from the size of the file, not from a header."""
        return self.container in SELF_SYNCHRONISING or self.container in ("ogg", "voc")


def decode(
    source: Path,
    link: tuple[int, int] | None,
    stream: int,
    out: PcmFile,
    hook: Callable[[], None],
    ends_anywhere: bool = False,
) -> str:
    """Decodes an audio stream into `out`, to its true end.

    Args:
        source: the file.
        link: first byte and end of the part to decode; None for the whole.
        stream: which audio stream, 0 the first.
        out: gets the samples; what it held already stays.
        hook: called often, even while ffmpeg outputs nothing; stops the work by raising.
        ends_anywhere: whether the last packet may be incomplete, as in `SELF_SYNCHRONISING` streams.

    Returns:
        "" when all was decoded, else ffmpeg's reason; `out` then holds what could still be decoded.

    Raises:
        InputError: samples beyond the limits, or a rate or number of channels other than `out` holds already.
    """
    began = out.frames
    reason = _run(source, link, stream, out, hook, strict=True)
    if not reason:
        return ""
    strictly = out.frames - began
    out.cut(began)
    _run(source, link, stream, out, hook, strict=False)
    if out.frames - began - strictly > TAIL_FRAMES or not (strictly or ends_anywhere):
        return reason
    probed = None if ends_anywhere else probe(source, stream)
    return "" if ends_anywhere or (probed and probed.container in SELF_SYNCHRONISING) else reason


def probe(source: Path, stream: int) -> Probe | None:
    """What ffprobe tells; None where it cannot be run or does not know."""
    probed = _ffprobe(source, f"a:{stream}", f"{FIELDS},duration,sample_rate,channels")
    if probed is None:
        return None
    about, about_stream = probed["format"], (probed["streams"] or [{}])[0]
    try:
        seconds = about_stream.get("duration") or about.get("duration")
        return Probe(
            about["format_name"],
            None if seconds is None else float(seconds),
            int(about_stream.get("sample_rate", 0)),
            int(about_stream.get("channels", 0)),
        )
    except (ValueError, KeyError):
        return None


def audio_streams(source: Path) -> int | None:
    """How many audio streams a file holds; None where ffprobe cannot be run or does not know."""
    probed = _ffprobe(source, "a", FIELDS)
    return None if probed is None else len(probed["streams"])


def _ffprobe(source: Path, streams: str, fields: str) -> dict[str, Any] | None:
    """The `format` and the `streams` that ffprobe tells of; None where it cannot be run or does not know."""
    if lack_of("ffprobe"):
        return None
    shown = ["-show_entries", fields, "-select_streams", streams]
    run = subprocess.run(
        ["ffprobe", "-v", "quiet", *GUARD, *shown, "-of", "json", f"file:{source.absolute()}"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
    )
    try:
        probed: dict[str, Any] = json.loads(run.stdout)
    except ValueError:
        return None
    return {"streams": [], **probed} if "format" in probed else None


def _run(
    source: Path,
    link: tuple[int, int] | None,
    stream: int,
    out: PcmFile,
    hook: Callable[[], None],
    *,
    strict: bool,
) -> str:
    """One run of ffmpeg; "", or why something is missing."""
    name = f"file:{source.absolute()}"
    if link is not None:
        name = f"subfile,,start,{link[0]},end,{link[1]},,:{name}"
    quiet = ["-nostdin", "-hide_banner", "-nostats", "-v", "repeat+level+verbose"]
    command = ["ffmpeg", *quiet, *GUARD, *(CHECKED if strict else ()), "-i", name]
    wav = ["-map", f"0:a:{stream}", "-map_metadata", "-1", "-fflags", "+bitexact", "-c:a", "pcm_f32le"]
    with tempfile.TemporaryFile() as said:
        with (
            subprocess.Popen(
                [*command, *wav, "-f", "wav", "-"], stdout=subprocess.PIPE, stderr=said
            ) as process,
            ThreadPoolExecutor(1, "airband-ffmpeg") as reader,
        ):
            assert process.stdout is not None
            try:
                _copy(process.stdout, reader, out, hook, strict)
            except BaseException:
                process.kill()
                raise
        said.seek(0)
        lines = said.read().decode(errors="replace").splitlines()
    _check_shape(lines, source)
    problems = [(found[1] or "", found[2]) for line in lines if (found := PROBLEM.match(line))]
    by = next((found[1] for line in lines if (found := READER.match(line))), "")
    losses = [text for who, text in problems if who.partition("/")[0] in (by, "in#0")]
    losses = losses if by in PASSES_OVER else []
    losses += [text for _, text in problems if text.startswith(WRONG_SUM)]
    if process.returncode or losses:
        reasons = losses + [text for _, text in problems if "Error while decoding stream" not in text]
        return _plain(reasons[0], source) if reasons else ended(process.returncode)
    return ""


def _check_shape(lines: list[str], source: Path) -> None:
    """Refuses a stream that changes its rate or its speakers: ffmpeg would convert what follows."""
    shapes = list(dict.fromkeys(found.groups() for line in lines if (found := SHAPE.search(line))))
    if len(shapes) > 1:
        (rate, speakers), (then_rate, then_speakers) = shapes[:2]
        raise InputError(
            f"{source.name} changes within the file from {rate} Hz, {speakers}, to {then_rate} Hz, "
            f"{then_speakers}; split it there",
            "source",
        )


def _copy(wav: IO[bytes], reader: Executor, out: PcmFile, hook: Callable[[], None], strict: bool) -> None:
    pending = b""
    head: Head | None = None
    read = partial(wav.read1, BLOCK_BYTES)  # type: ignore[attr-defined]
    while piece := wait_for(read, reader, hook):
        hook()
        pending += piece
        if head is None:
            if (parsed := read_stream_head(pending)) is None:
                continue
            (rate, channels, mask), start = parsed
            head, pending = Head(rate, channels, mask), pending[start:]
            out.begin(head)
        whole = len(pending) // (4 * head.channels) * 4 * head.channels
        if whole:
            try:
                out.write(np.frombuffer(pending[:whole], "<f4").reshape(-1, head.channels))
            except InputError:
                if strict:
                    raise
                return  # damage decodes to samples that no clip may hold
            pending = pending[whole:]


def _plain(line: str, source: Path) -> str:
    """A message of ffmpeg's without paths, and without the list of formats it may open."""
    return (
        line.replace(f" '{FORMATS}'", "").replace("file:", "").replace(f"{source.absolute()}: ", "").strip()
    )
