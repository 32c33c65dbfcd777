"""Puts takes of Airband Send on Audacity's timeline: each on a new track, at the time of its capture."""

from __future__ import annotations

from collections.abc import Iterable

from bridge.daw.audacity.pipe import Pipe
from bridge.daw.takes import Take


def import_takes(pipe: Pipe, takes: Iterable[Take]) -> list[str]:
    """Imports the takes whose names no track of the project has; returns the names of those imported.

    Raises:
        HostError: an import failed; takes imported before it stay.
    """
    known = {track["name"] for track in pipe.info("Tracks")}
    imported = []
    for take in takes:
        if take.name in known:
            continue
        pipe.do("SelectNone")
        pipe.do("Import2", Filename=str(take.path))
        pipe.do("SelectTracks", Track=len(pipe.info("Tracks")) - 1, TrackCount=1, Mode="Set")
        pipe.do("SetClip", At=0, Start=take.start_s)
        pipe.do("SetTrackStatus", Name=take.name)
        imported.append(take.name)
    return imported
