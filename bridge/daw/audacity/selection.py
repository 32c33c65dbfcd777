"""Takes the selection of a running Audacity to the engine, and puts it back on new tracks at the same time.

Audacity reports times with six digits, too few to hit a sample, so no position is computed from them. Ranges
are counted in frames of exported files, and Audacity itself aligns a result with the start of its stored
selection. Nothing in the project changes before all results are there.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bridge.daw.audacity.pipe import Pipe
from presets.errors import HostError, InputError

FORMAT = "/FileFormats/ExportFormat_SF1_Type/WAV_10000"
FLOAT = "6"
"""libsndfile's number for 32-bit float; by default Audacity writes 16 bits with shaped dither."""
SLACK_FRAMES = 2
"""How far, in frames, the lengths of two exports may differ by rounding."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """The selected part of one track.

    Attributes:
        track: its index in Audacity.
        name: its name in Audacity.
        source: a file of the whole track, from time 0 on.
        start, end: the selected frames of it.
        is_whole: whether the selection covers all of the track's audio.
    """

    track: int
    name: str
    source: Path
    start: int
    end: int
    is_whole: bool


def selected(pipe: Pipe) -> list[int]:
    """The indices of the selected audio tracks.

    Raises:
        InputError: no track or no time is selected, the selection begins before 0, or a track is muted.
    """
    tracks = _tracks(pipe)
    chosen = [index for index, track in enumerate(tracks) if _is_chosen(track)]
    if not chosen:
        raise InputError("no audio track is selected in Audacity: select some audio there first", "selection")
    soloed = any(track.get("solo") for track in tracks)
    for index in chosen:
        if tracks[index]["mute"] or (soloed and not tracks[index]["solo"]):
            name = tracks[index]["name"]
            raise InputError(
                f"track {name!r} is muted or not soloed, so Audacity does not export it; unmute it", name
            )
    start, end = _times(pipe)
    _select(pipe, chosen)
    if not start < end:
        raise InputError(
            "no stretch of time is selected in Audacity: select some audio there first", "selection"
        )
    if start < 0:
        raise InputError(
            f"the selection begins at {start:.3f} s, but Audacity exports nothing before 0: select from 0 "
            "on, or move the clips",
            "selection",
        )
    return chosen


def taken(pipe: Pipe, chosen: Sequence[int], folder: Path) -> list[Stretch]:
    """Exports the selected tracks whole, and finds the selection in each export.

    Args:
        pipe: to an Audacity whose selection `selected` has read.
        chosen: the tracks.
        folder: for the exported files.

    Raises:
        HostError: an export failed.
    """
    names = [track["name"] for track in _tracks(pipe)]
    try:
        with _float_export(pipe):
            return [_taken(pipe, index, names[index], folder / f"track{index}") for index in chosen]
    finally:
        _select(pipe, chosen)


def placed(pipe: Pipe, stretches: Sequence[Stretch], results: Sequence[Path], label: str) -> list[str]:
    """Puts each result on a new track, at the time of its selection, and selects the new tracks.

    A track that was rendered whole is muted, since its result replaces it. The names of the others, of which
    a part now sounds twice, are returned.

    Args:
        pipe: to the Audacity that the selections came from.
        stretches: the rendered selections.
        results: their results, in the same order.
        label: added in brackets to the names of new tracks and clips; a number follows if the name is taken.

    Raises:
        HostError: an import failed; tracks added before it stay.
    """
    added: list[int] = []
    twice: list[str] = []
    try:
        for stretch, result in zip(stretches, results, strict=True):
            name = _unused(f"{stretch.name} ({label}", [track["name"] for track in _tracks(pipe)])
            pipe.do("SelectNone")
            pipe.do("Import2", Filename=str(result))
            added.append(len(_tracks(pipe)) - 1)
            if stretch.is_whole:
                _select(pipe, [stretch.track])
                pipe.do("SetTrackAudio", Mute=1)  # enters Audacity's history only with a later command
            else:
                twice.append(stretch.name)
            _select(pipe, added[-1:])
            pipe.do("Align_StartToSelStart")
            pipe.do("SetTrackStatus", Name=name)
            pipe.do("SetClip", Name=name)
    finally:
        _select(pipe, added or [stretch.track for stretch in stretches])
    return twice


def _unused(stem: str, names: Sequence[str]) -> str:
    """The stem with its bracket closed, and if that name is taken, the first free number."""
    stem = stem.replace('"', "'")
    numbers = itertools.chain([f"{stem})"], (f"{stem} {number})" for number in itertools.count(2)))
    return next(name for name in numbers if name not in names)


def _tracks(pipe: Pipe) -> list[dict[str, Any]]:
    tracks: list[dict[str, Any]] = pipe.info("Tracks")
    return tracks


def _is_chosen(track: dict[str, Any]) -> bool:
    return track["kind"] == "wave" and bool(track["selected"])


def _times(pipe: Pipe) -> tuple[float, float]:
    """The selected time, to six digits, read from a temporary label; also stores the selection."""
    pipe.do("SelSave")
    before = _labels(pipe)
    pipe.do("AddLabel")
    try:
        fresh = list(_labels(pipe))
        for label in before:
            fresh.remove(label)
    finally:
        pipe.do("Undo")
    if len(fresh) != 1:
        raise HostError("the selection cannot be read: another label was added in Audacity meanwhile")
    return fresh[0]


def _labels(pipe: Pipe) -> list[tuple[float, float]]:
    return [(label[0], label[1]) for _, labels in pipe.info("Labels") for label in labels]


def _select(pipe: Pipe, tracks: Sequence[int]) -> None:
    """Selects tracks, with the stored time."""
    pipe.do("SelectNone")
    pipe.do("SelRestore")
    for place, track in enumerate(tracks):
        pipe.do("SelectTracks", Track=track, TrackCount=1, Mode="Add" if place else "Set")


@contextmanager
def _float_export(pipe: Pipe) -> Iterator[None]:
    """Sets WAV export to 32-bit float within the block, and restores the user's setting afterwards."""
    earlier = ""
    with suppress(HostError):  # fails if the user never chose a format
        earlier = pipe.do("GetPreference", Name=FORMAT)
    pipe.do("SetPreference", Name=FORMAT, Value=FLOAT)
    try:
        yield
    finally:
        if earlier:
            pipe.do("SetPreference", Name=FORMAT, Value=earlier)


def _taken(pipe: Pipe, track: int, name: str, base: Path) -> Stretch:
    channels = _tracks(pipe)[track]["channels"]
    _select(pipe, [track])
    part = _exported(pipe, base.with_suffix(".part.wav"), channels)
    pipe.do("SelStart")
    until_end = _exported(pipe, base.with_suffix(".until.wav"), channels)
    pipe.do("SelEnd")
    pipe.do("SelStart")
    whole = _exported(pipe, base.with_suffix(".wav"), channels)
    start = _found(part, whole, _frames(until_end) - _frames(part))
    end = start + _frames(part)
    return Stretch(track, name, whole, start, end, end >= _frames(whole) and _is_silent_before(whole, start))


def _exported(pipe: Pipe, path: Path, channels: int) -> Path:
    pipe.do("Export2", Filename=str(path), NumChannels=channels)
    if not path.is_file():
        raise HostError(f"Audacity has exported nothing to {path}")
    return path


def _frames(path: Path) -> int:
    import soundfile

    return int(soundfile.info(path).frames)


def _is_silent_before(path: Path, end: int) -> bool:
    import soundfile

    with soundfile.SoundFile(path) as file:
        return not any(block.any() for block in file.blocks(65536, frames=end, dtype="float32"))


def _found(part: Path, whole: Path, about: int) -> int:
    """The frame of `whole` at which `part` begins: `about`, or near it if Audacity rounded differently."""
    import numpy as np
    import soundfile

    wanted = soundfile.read(part, frames=4 * 48000, dtype="float32", always_2d=True)[0]
    for distance in range(SLACK_FRAMES + 1):
        for start in (about + distance, about - distance):
            if start < 0:
                continue
            with soundfile.SoundFile(whole) as file:
                if start + len(wanted) > file.frames:
                    continue
                file.seek(start)
                if np.array_equal(file.read(len(wanted), dtype="float32", always_2d=True), wanted):
                    return start
    raise HostError("Audacity's export of the selection differs from the same stretch of the whole track")
