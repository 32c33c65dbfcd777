"""ffmpeg as a decoder: the samples of one audio stream, channels in the WAV order, block by block.

It is asked for a float WAV on its standard output, whose head tells rate, channels and speakers.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from render.sources.pcm_file import Head, PcmFile
from render.sources.pcm_header import read_stream_head

FORMATS = (
    "mov,matroska,aac,ac3,eac3,dts,dtshd,truehd,asf,avi,mpegts,mpeg,mp3,ogg,flac,wav,w64,aiff,au,caf,ape,tta,wv,amr,"
    "flv,mpc,mpc8,tak,shn,dsf,iff,voc,xwma,rm,sox,ircam"
)
"""Containers it may open: none that refers to other files or addresses (playlists, concat scripts)."""
GUARD = ("-protocol_whitelist", "file,subfile", "-format_whitelist", FORMATS)
SELF_SYNCHRONISING = frozenset({"mp3", "aac", "ac3", "eac3", "dts", "mpegts"})
"""Streams without a length of their own, which a recorder may end anywhere: the last packet may be a part,
and a duration is an estimate."""
TAIL_FRAMES = 1 << 14
"""An error so near to the end is the last packet's: ffmpeg decodes a few packets ahead of what it writes."""
BLOCK_BYTES = 1 << 20
ENDED_EARLY = "File ended prematurely"
"""What the Matroska reader says of a file that was cut; it does not count as an error."""


@dataclass(frozen=True, slots=True)
class Probe:
    """What ffprobe tells of a file: its container, and the seconds of the stream (None where it has none)."""

    container: str
    seconds: float | None

    @property
    def is_estimate(self) -> bool:
        """Whether the seconds come from the size of the file, not from a header."""
        return self.container in SELF_SYNCHRONISING or self.container == "ogg"


def is_there() -> bool:
    """Whether ffmpeg is on PATH."""
    return shutil.which("ffmpeg") is not None


def decode(
    source: Path, link: tuple[int, int] | None, stream: int, out: PcmFile, hook: Callable[[], None]
) -> str:
    """Decodes an audio stream into `out`, to its true end.

    Args:
        source: the file.
        link: first byte and end of the part to decode; None for the whole.
        stream: which audio stream, 0 the first.
        out: gets the samples; what it held already stays.
        hook: called often; stops the work by raising.

    Returns:
        "" when all was decoded, else ffmpeg's reason; `out` then holds what could be decoded none the less.

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
    at_the_end = strictly > 0 and out.frames - began - strictly <= TAIL_FRAMES
    if at_the_end and (told := probe(source, stream)) and told.container in SELF_SYNCHRONISING:
        return ""
    return reason


def probe(source: Path, stream: int) -> Probe | None:
    """What ffprobe tells; None where it is not on PATH or does not know."""
    ffprobe = shutil.which("ffprobe")
    if ffprobe is None:
        return None
    shown = ["-show_entries", "format=format_name,duration:stream=duration", "-select_streams", f"a:{stream}"]
    run = subprocess.run(
        [ffprobe, "-v", "quiet", *GUARD, *shown, "-of", "json", f"file:{source.resolve()}"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
    )
    try:
        told: dict[str, Any] = json.loads(run.stdout)
        about = told["format"]
        streams = told.get("streams") or [{}]
        seconds = streams[0].get("duration") or about.get("duration")
        return Probe(about["format_name"], None if seconds is None else float(seconds))
    except (ValueError, KeyError):
        return None


def _run(
    source: Path,
    link: tuple[int, int] | None,
    stream: int,
    out: PcmFile,
    hook: Callable[[], None],
    *,
    strict: bool,
) -> str:
    """One run; "" or ffmpeg's reason to give up."""
    name = f"file:{source.resolve()}"
    if link is not None:
        name = f"subfile,,start,{link[0]},end,{link[1]},,:{name}"
    command = ["ffmpeg", "-nostdin", *GUARD, "-v", "error", *(["-xerror"] if strict else []), "-i", name]
    wav = ["-map", f"0:a:{stream}", "-map_metadata", "-1", "-fflags", "+bitexact", "-c:a", "pcm_f32le"]
    with tempfile.TemporaryFile() as said:
        with subprocess.Popen(
            [*command, *wav, "-f", "wav", "-"], stdout=subprocess.PIPE, stderr=said
        ) as process:
            assert process.stdout is not None
            try:
                _copy(process.stdout, out, hook)
            except BaseException:
                process.kill()
                raise
        said.seek(0)
        lines = said.read().decode(errors="replace").strip().splitlines()
    if process.returncode or any(ENDED_EARLY in line for line in lines):
        lines = [line for line in lines if "Error while decoding stream" not in line]
        return _plain(lines[0], source) if lines else "no reason given"
    return ""


def _copy(wav: IO[bytes], out: PcmFile, hook: Callable[[], None]) -> None:
    pending = b""
    head: Head | None = None
    while piece := wav.read1(BLOCK_BYTES):  # type: ignore[attr-defined]
        hook()
        pending += piece
        if head is None:
            if (told := read_stream_head(pending)) is None:
                continue
            (rate, channels, mask), start = told
            head, pending = Head(rate, channels, mask), pending[start:]
            out.begin(head)
        whole = len(pending) // (4 * head.channels) * 4 * head.channels
        if whole:
            out.write(np.frombuffer(pending[:whole], "<f4").reshape(-1, head.channels))
            pending = pending[whole:]


def _plain(line: str, source: Path) -> str:
    """A line of ffmpeg's without addresses in memory and paths."""
    text = line.partition("] ")[2] if line.startswith("[") else line
    return text.replace("file:", "").replace(f"{source.resolve()}: ", "").strip()
