"""Passes a sound through a plugin in a host: `python -m tests.bridge.daw.plugin.host HOST PLUGIN IN OUT ...`

Hosts are separate programs, since each loads its own JUCE, or a JACK server. clap_host.cpp explains the
words: both accept and print the same. Values are plain (`Cutoff=8000`).
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

SILENT_BLOCKS = 16
PATIENCE_S = 60.0

Sound = NDArray[np.float32]


class Host(Protocol):
    """One plugin in a host."""

    makes_up_for_delay: bool
    """Whether `play` returns the output without the plugin's latency."""

    @property
    def latency(self) -> int:
        """The plugin's latency as the host knows it, in frames."""

    def set(self, name: str, value: str) -> None:
        """Sets a parameter; `track` names the track, if the host can."""

    def play(self, sound: Sound, position: int | None) -> tuple[Sound, int]:
        """The output for a sound, and the transport's frame at which that begins.

        `position`: where the transport rolls from; None: it stands still.
        """

    def texts(self) -> dict[str, str]:
        """The parameters as their user sees them."""

    def save(self, path: Path) -> None:
        """Saves the plugin's state."""

    def close(self) -> None:
        """Ends the plugin as the host does when it quits."""


@dataclass(frozen=True)
class Setup:
    """What a host opens: a plugin, its sound, and parameters restored from a project."""

    plugin: Path
    channels: int
    rate: int
    block: int
    offline: bool
    restored: list[tuple[str, str]]
    project: Path | None
    """File of the state to open the plugin with, if it exists; the state is saved there at the end."""


def opened(kind: str, setup: Setup) -> Host:
    """A host with a plugin."""
    from tests.bridge.daw.plugin import jalv_host, juce_hosts

    host: Host = jalv_host.Jalv(setup) if kind == "jalv" else juce_hosts.HOSTS[kind](setup)
    return host


def settings(words: list[str]) -> list[tuple[int, str, str]]:
    """Parses `NAME=VALUE@FRAME`: from which frame on, the name, and the value."""
    found = []
    for word in words:
        name, _, value = word.partition("=")
        value, _, frame = value.partition("@") if name != "track" else (value, "", "")
        found.append((int(frame or 0), name, value))
    return sorted(found, key=lambda change: change[0])


def passed(host: Host, sound: Sound, words: list[str], rolls: bool) -> tuple[Sound, int]:
    """The output for a sound, without the plugin's latency, and the transport's frame at its start."""
    changes = settings(words)
    for _, name, value in [change for change in changes if change[0] == 0]:
        host.set(name, value)
    frames = sound.shape[1]
    delay = 0 if host.makes_up_for_delay else host.latency
    sound = np.pad(sound, ((0, 0), (0, delay)))
    later = [change for change in changes if change[0] > 0]
    heard, began_at, at = [], 0, 0
    for until, name, value in [*later, (sound.shape[1], "", "")]:
        piece, position = host.play(sound[:, at:until], at if rolls else None)
        began_at = position if at == 0 else began_at
        heard.append(piece)
        at = until
        if name:
            host.set(name, value)
    whole = np.concatenate(heard, axis=1)
    assert not whole[:, :delay].any(), "something is heard before the sound can be"
    return whole[:, delay : delay + frames], began_at


def waited(host: Host, silence: Sound, words: list[str]) -> None:
    """Passes silence until a parameter has a text, `... until NAME=TEXT`; or only for a moment."""
    until = words[words.index("until") + 1] if "until" in words else ""
    position = None
    for _, name, value in settings([word for word in words if word not in ("until", until)]):
        if name == "locate":
            position = int(value)
        else:
            host.set(name, value)
    deadline_s = time.monotonic() + PATIENCE_S
    name, _, text = until.partition("=")
    while True:
        began_at = host.play(silence, position)[1]
        position = None if position is None else began_at + silence.shape[1]
        if not until or host.texts()[name] == text or time.monotonic() > deadline_s:
            return
        time.sleep(0.02)


def main(arguments: list[str]) -> None:
    """See above."""
    kind, plugin, source, result = arguments[:4]
    rate, block, words = int(arguments[4]), int(arguments[5]), arguments[6:]
    before = words[: words.index("--")] if "--" in words else words
    after = words[len(before) + 1 :]
    flags = [word for word in before if "=" not in word]
    changes = [word for word in before if "=" in word and not word.startswith("project=")]
    projects = [Path(word.removeprefix("project=")) for word in before if word.startswith("project=")]
    project = projects[0] if projects else None
    channels = 1 if "Mono" in plugin else 2
    sound = np.fromfile(source, np.float32).reshape(channels, -1)
    silence = np.zeros((channels, SILENT_BLOCKS * block), np.float32)
    restored = [(name, value) for _, name, value in settings(changes)] if "restored" in flags else []
    host = opened(kind, Setup(Path(plugin), channels, rate, block, "offline" in flags, restored, project))
    try:
        if not restored:
            host.play(silence[:, :block], None)  # as a user sets values by hand while the plugin runs
        heard, began_at = passed(host, sound, [] if restored else changes, "rolling" in flags)
        heard.tofile(result)
        if after:
            waited(host, silence, after)
        print(f"Began={began_at}\nLatency={host.latency}")
        for name, text in host.texts().items():
            print(f"{name}={text}")
        if project is not None:
            host.save(project)
    finally:
        host.close()


if __name__ == "__main__":
    main(sys.argv[1:])
