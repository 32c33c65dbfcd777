"""Puts a stem back beside the picture it was taken from: replaces one audio stream, copies everything else.

The sound is stored without loss and begins at the very sample at which ffmpeg hears the old stream begin:
that position includes edit lists, priming of the encoder and streams that start late.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from fractions import Fraction
from pathlib import Path
from typing import Any

from presets.errors import InputError, OutputError
from render.files.parts import part_beside, put_in_place
from render.files.publish import check_file
from render.sources.ffmpeg import GUARD
from render.sources.programs import Program, lack_of

CODECS = {
    ".mkv": ("pcm_f32le", "matroska"),
    ".mov": ("pcm_f32le", "mov"),
    ".mp4": ("alac", "mp4"),
    ".m4v": ("alac", "mp4"),
}
"""Codec and container by the suffix of the result: float, or 24 bits where the format has no float."""


def remux(video: Path, stem: Path, out: Path, *, stream: int, peak: float, force: bool = False) -> None:
    """Writes `out`: `video` with `stem` in place of one of its audio streams.

    Args:
        video: the source.
        stem: what was rendered of the whole of that stream, a WAV, FLAC or AIFF file.
        out: ends in .mkv, .mov or .mp4; appears when it is whole.
        stream: which audio stream was rendered, 0 the first.
        peak: of the stem, full scale 1.
        force: replace a file that is there.

    Raises:
        InputError: no ffmpeg on PATH, or it cannot read the video.
        OutputError: another suffix, a peak that the format would clip, or the destination is refused.
    """
    check_out(video, out, force=force)
    codec, container = CODECS[out.suffix.lower()]
    if codec == "alac" and peak > 1:
        raise OutputError(
            f"{out}: the peak is {peak:.3f} and {out.suffix} holds no float; take .mov or .mkv as source, or "
            "turn the generated band down (--high-gain-db)",
            "remux",
        )
    tracks, start = _audio_streams(video), _first_sample(video, stream)
    maps = ["-map", "0:v"]
    for index in range(len(tracks)):
        maps += ["-map", f"0:a:{index}" if index != stream else "[stem]"]
    kept = ["-map", "0:s?", "-map", "0:t?", "-map_metadata", "0", "-map_chapters", "0", "-c", "copy"]
    sound = [f"-c:a:{stream}", codec, *(["-sample_fmt:a", "s32p"] if codec == "alac" else [])]
    if language := tracks[stream].get("tags", {}).get("language"):
        sound += [f"-metadata:s:a:{stream}", f"language={language}"]
    shift = _shift(start, int(tracks[stream]["sample_rate"]), _rate_of(stem))
    with part_beside(out) as part:
        inputs = [*_input(video), *_input(stem), "-filter_complex", f"[1:a]{shift}[stem]"]
        written = ["-f", container, "-y", f"file:{part}"]
        _run("ffmpeg", *inputs, *maps, *kept, *sound, *written, name=out.name)
        check_file(out, video, force=force)
        put_in_place(part, out)


def check_out(video: Path, out: Path, *, force: bool = False) -> None:
    """Refuses a result before any work is done for it; arguments as for `remux`.

    Raises:
        OutputError: a suffix that is not in CODECS, or the destination is refused.
    """
    if out.suffix.lower() not in CODECS:
        raise OutputError(f"{out}: --remux writes {', '.join(CODECS)}, not {out.suffix!r}", "remux")
    check_file(out, video, force=force)


def check_picture(video: Path) -> None:
    """Raises InputError where a file holds no moving picture, or ffprobe cannot say."""
    if not has_picture(video):
        raise InputError(f"{video}: holds no picture; --remux is for videos", "remux")


def has_picture(path: Path) -> bool:
    """Whether a file holds a moving picture (a cover is none); InputError where ffprobe cannot say."""
    shown = ["-show_entries", "stream=codec_type:stream_disposition=attached_pic", "-of", "json"]
    printed = _run("ffprobe", *shown, *_input(path), name=path.name)
    streams: list[dict[str, Any]] = json.loads(printed)["streams"]
    return any(
        stream.get("codec_type") == "video" and not stream.get("disposition", {}).get("attached_pic")
        for stream in streams
    )


def _input(path: Path) -> list[str]:
    return [*GUARD, "-i", f"file:{path.resolve()}"]


def _audio_streams(video: Path) -> list[dict[str, Any]]:
    shown = [
        "-show_entries",
        "stream=sample_rate:stream_tags=language",
        "-select_streams",
        "a",
        "-of",
        "json",
    ]
    printed = _run("ffprobe", *shown, *_input(video), name=video.name)
    streams: list[dict[str, Any]] = json.loads(printed)["streams"]
    return streams


def _first_sample(video: Path, stream: int) -> int:
    """The position of the first decoded sample on the time line of the picture, in samples of the source."""
    show = ["-map", f"0:a:{stream}", "-af", "ashowinfo", "-frames:a", "1", "-f", "null", "-"]
    printed = _run("ffmpeg", "-nostats", *_input(video), *show, name=video.name, level="info")
    found = re.search(r"\bn:0\s+pts:(-?\d+)", printed)
    if found is None:
        raise InputError(f"{video.name}: its audio stream {stream} holds no sound", "stream")
    return int(found[1])


def _rate_of(stem: Path) -> int:
    import soundfile

    try:
        return int(soundfile.info(os.fsencode(stem)).samplerate)
    except soundfile.SoundFileError as error:
        raise InputError(f"{stem}: cannot be read as audio any more ({error})", "remux") from None


def _shift(start: int, rate_in: int, rate_out: int) -> str:
    """The filter that makes a stem begin at time 0 of the picture."""
    frames = round(Fraction(start * rate_out, rate_in))
    if frames > 0:
        return f"adelay={frames}S:all=1"
    return f"atrim=start_sample={-frames},asetpts=PTS-STARTPTS" if frames < 0 else "anull"


def _run(program: Program, *arguments: str, name: str, level: str = "error") -> str:
    """What a program prints: ffprobe to stdout, ffmpeg to stderr."""
    if lack := lack_of(program):
        raise InputError(f"{name}: {lack}; --remux needs it", "remux")
    guard = ["-v", level, *(["-nostdin"] if program == "ffmpeg" else [])]
    run = subprocess.run([program, *guard, *arguments], stdin=subprocess.DEVNULL, capture_output=True)
    said = run.stderr.decode(errors="replace")
    if run.returncode:
        reason = (said.strip().splitlines() or ["no reason given"])[0]
        raise InputError(f"{name}: {program} says: {reason}", "remux")
    return run.stdout.decode(errors="replace") if program == "ffprobe" else said
