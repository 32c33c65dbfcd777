"""Sources that cannot be read in place, turned once into temporary PCM that can.

Some libsndfile formats do not seek exactly, and some formats are ffmpeg's alone.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import soundfile

from presets.errors import InputError
from render.limits import check_samples, check_shape, truncated

SEEKS_EXACTLY = frozenset(
    {"PCM_S8", "PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW", "ALAW"}
)
"""libsndfile subtypes where a seek lands on the sample asked for. Measured with 1.2.2: a seek in Vorbis
is not (samples differ by up to 0.4); GSM 6.10 does not seek; a cut MP3 shows its length only when decoded."""

BLOCK_FRAMES = 1 << 18

UNKNOWN_FRAMES = 1 << 40
"""libsndfile reports a length beyond this when the header holds none (FLAC written to a pipe)."""

UNKNOWN_BYTES = 0x7FFF0000
"""Writers that cannot seek back leave a chunk size this large in a WAV header; it promises nothing."""

FFMPEG_FORMATS = (
    "mov,matroska,aac,ac3,eac3,dts,asf,avi,mpegts,mpeg,mp3,ogg,flac,wav,aiff,caf,ape,tta,wv,amr,flv"
)
"""Containers ffmpeg may open: none that refers to other files or addresses (playlists, concat scripts)."""


def reads_in_place(file: soundfile.SoundFile) -> bool:
    """Whether a seek in `file` is exact and its length known."""
    exact: bool = file.subtype in SEEKS_EXACTLY and file.seekable()
    return exact and 0 <= file.frames < UNKNOWN_FRAMES


def promised_frames(file: soundfile.SoundFile) -> int:
    """Frames the header speaks of: libsndfile shortens a cut file, and only its log says so."""
    log: str = file.extra_info
    if cut := re.search(r"^\s*(?:data|SSND|riff|Data Size)\s*: (\d+) \(should be (\d+)\)", log, re.MULTILINE):
        promised, held = int(cut[1]), int(cut[2])
        if held and promised < UNKNOWN_BYTES:
            return round(int(file.frames) * promised / held)
    if cut := re.search(r"does not match value from 'ds64' chunk of (\d+)", log):
        return int(cut[1])
    return int(file.frames)


def decode_to_pcm(file: soundfile.SoundFile, name: str, folder: Path | None) -> Path:
    """The whole of `file` as a temporary file of interleaved little-endian float32.

    Args:
        file: any open sound file.
        name: what to call it in messages.
        folder: where the temporary file goes; the system's temporary folder when None.

    Raises:
        InputError: it breaks off, holds nothing, or has samples that are not finite or beyond +-16.
    """
    handle, path = tempfile.mkstemp(prefix="airband-", suffix=".f32", dir=folder)
    held = 0
    try:
        with open(handle, "wb") as pcm:
            while len(block := file.read(BLOCK_FRAMES, dtype="float32", always_2d=True)):
                check_samples(block, held, name)
                pcm.write(block.astype("<f4", copy=False).tobytes())
                held += len(block)
        if held < file.frames < UNKNOWN_FRAMES:
            raise truncated(name, file.frames, held)
        check_shape(file.samplerate, file.channels, held, name)
    except BaseException as error:
        Path(path).unlink()
        if isinstance(error, soundfile.LibsndfileError):
            raise InputError(f"{name} is truncated or damaged near frame {held}: {error}", "source") from None
        raise
    return Path(path)


def decode_with_ffmpeg(source: Path, folder: Path | None) -> Path:
    """The first audio stream of `source` as a temporary float WAV (RF64 above 4 GB).

    Raises:
        InputError: ffmpeg is not on PATH, or does not read the file.
    """
    ffmpeg = shutil.which("ffmpeg")
    if ffmpeg is None:
        raise InputError(
            f"{source.name} is not in a format libsndfile reads (WAV, FLAC, AIFF, OGG, MP3, ...); "
            "if it is M4A, MP4 or the like, install ffmpeg and put it on PATH",
            "source",
        )
    handle, path = tempfile.mkstemp(prefix="airband-", suffix=".wav", dir=folder)
    os.close(handle)
    guard = [
        "-nostdin",
        "-v",
        "error",
        "-xerror",
        "-protocol_whitelist",
        "file",
        "-format_whitelist",
        FFMPEG_FORMATS,
    ]
    output = ["-map", "0:a:0", "-c:a", "pcm_f32le", "-f", "wav", "-rf64", "auto", "-y", path]
    try:
        run = subprocess.run(
            [ffmpeg, *guard, "-i", f"file:{source.resolve()}", *output],
            capture_output=True,
            text=True,
            errors="replace",
        )
        if run.returncode:
            reason = (run.stderr.strip().splitlines() or ["no reason given"])[-1]
            raise InputError(
                f"{source.name} is not audio that libsndfile or ffmpeg can read: {reason}", "source"
            )
    except BaseException:
        Path(path).unlink(missing_ok=True)
        raise
    return Path(path)
