"""External plugins, each in a child process, so that none can take the engine down.

Loading a plugin already runs its code, and it may crash, hang, abort, exit or answer nonsense at any time.
Whatever it does becomes one `PluginError` that names the plugin and what happened; its process is then ended,
and the next render gets a fresh one. Processes are kept warm between renders (a start costs half a second).
"""

from __future__ import annotations

import atexit
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np

from presets.chains import Effect
from presets.errors import PluginError
from render.effects.plugin_child import read_message, write_message
from render.effects.plugin_folders import PluginSettings, find_asset, find_plugin, plugin_settings
from render.upscaler import Audio
from render.waiting import wait_for

WARM_MAX = 4
"""How many idle plugin processes are kept."""
LATENCY_MAX_S = 60

Hook = Callable[[], None]


class PluginHost:
    """One plugin in one child process. Not for use by several threads at once.

    Args:
        path: of the plugin; the caller has checked that it may be loaded.
        name: which plugin of a bundle that holds several.
        settings: the deadlines.
        hook: called often while the plugin is at work; ends it by raising.

    Attributes:
        hook: as given; may be replaced.

    Raises:
        PluginError: the plugin crashed, hung or refused while it was loaded.
    """

    def __init__(
        self, path: Path, name: str | None, settings: PluginSettings, hook: Hook = lambda: None
    ) -> None:
        self.key, self.hook = (path, name), hook
        self._settings = settings
        self._thread = ThreadPoolExecutor(1, "airband-plugin")
        self._owed = 0
        home = str(Path(__file__).parents[2])
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "render.effects.plugin_child"],
            env={**os.environ, "PYTHONPATH": os.pathsep.join([home, *filter(None, sys.path)])},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is for the parent, which then ends its plugins
        )
        self._ask("loading", settings.load_s, {"do": "load", "path": str(path), "name": name})

    @property
    def alive(self) -> bool:
        """Whether the plugin can still be asked anything."""
        return self._process.poll() is None

    def describe(self) -> dict[str, Any]:
        """Name, latency, channels and parameters: see `render.effects.plugin_child.Guest.describe`."""
        return self._ask("describing itself", self._settings.load_s, {"do": "describe"})[0]

    def prepare(self, effect: Effect, rate_hz: float, channels: int) -> None:
        """Give the plugin its state and parameters, as if freshly loaded.

        Raises:
            UsageError: the state file is missing or outside the allowed folders.
            PluginError: the plugin does not take the channels, the state or a parameter, or fails.
        """
        state = find_asset(effect.state, self._settings) if effect.state else None
        self._owed = 0
        self._ask(
            "being set up",
            self._settings.load_s,
            {
                "do": "prepare",
                "params": effect.params,
                "has_state": state is not None,
                "is_preset": state is not None and state.suffix == ".vstpreset",
                "rate": rate_hz,
                "channels": channels,
            },
            state.read_bytes() if state else b"",
        )

    def reset(self) -> None:
        """Forget all sound; part of `render.effects.native.Processor`."""
        self._ask("being reset", self._settings.load_s, {"do": "reset"})

    def process(
        self, audio: Audio, sample_rate: float, buffer_size: int = 8192, reset: bool = False
    ) -> Audio:
        """The next piece, shorter where the plugin has latency; part of `render.effects.native.Processor`.

        Raises:
            PluginError: what came back is not audio, or nothing came back.
        """
        if reset:
            self.reset()
        channels, frames = audio.shape
        request = {"do": "process", "channels": channels, "block": buffer_size}
        header, body = self._ask("processing", self._settings.process_s, request, audio.tobytes())
        shape = tuple(header["shape"])
        if len(shape) != 2 or shape[0] != channels or not 0 <= shape[1] <= frames:
            raise self._failed(f"returned {shape} for {audio.shape}")
        out = np.frombuffer(body, np.float32).reshape(shape)
        if not np.isfinite(out).all():
            raise self._failed("returned samples that are not finite (NaN or infinity)")
        self._owed += frames - shape[1]
        if self._owed > LATENCY_MAX_S * sample_rate:
            raise self._failed(f"returned nothing for {LATENCY_MAX_S} s of audio: wrong length")
        return out

    def close(self) -> None:
        """End the child process."""
        self._process.kill()
        self._process.wait()
        self._thread.shutdown()
        for pipe in (self._process.stdin, self._process.stdout):
            with suppress(OSError):  # something was not flushed to a dead child
                cast(BinaryIO, pipe).close()

    def _ask(
        self, doing: str, deadline_s: float, request: dict[str, Any], body: bytes = b""
    ) -> tuple[dict[str, Any], bytes]:
        until_s = time.monotonic() + deadline_s

        def exchange() -> tuple[dict[str, Any], bytes]:
            write_message(cast(BinaryIO, self._process.stdin), {**request, "deadline_s": deadline_s}, body)
            return read_message(cast(BinaryIO, self._process.stdout))

        def listen() -> None:
            self.hook()
            if time.monotonic() > until_s:
                raise TimeoutError

        try:
            header, answer = wait_for(exchange, self._thread, listen)
        except TimeoutError:
            raise self._failed(f"took longer than {deadline_s:g} s while {doing}") from None
        except (EOFError, OSError):
            self._process.wait()
            raise self._failed(f"{_end(self._process.returncode)} while {doing}") from None
        except BaseException:
            self.close()
            raise
        if "error" in header:
            raise self._failed(header["error"])
        return header, answer

    def _failed(self, what: str) -> PluginError:
        self.close()
        path, name = self.key
        return PluginError(f"plugin {name or path.stem} {what} ({path})", "effects")


@contextmanager
def hosted(effect: Effect, rate_hz: float, channels: int, hook: Hook = lambda: None) -> Iterator[PluginHost]:
    """A plugin ready to process; a warm one where there is one.

    Args:
        effect: with a `path`.
        rate_hz: of the clip.
        channels: of the clip.
        hook: called often while the plugin is at work; ends it by raising.

    Raises:
        UsageError: the plugin or its state lies outside the allowed folders.
        PluginError: there is no such plugin, or it failed.
    """
    settings = plugin_settings()
    path = find_plugin(str(effect.path), settings)
    host = _warm.take((path, effect.name)) or PluginHost(path, effect.name, settings, hook)
    host.hook = hook
    try:
        host.prepare(effect, rate_hz, channels)
        yield host
    finally:
        host.hook = lambda: None
        _warm.put(host)


class _Warm:
    """Idle hosts, the least recently used first."""

    def __init__(self) -> None:
        self._hosts: list[PluginHost] = []
        self._lock = threading.Lock()

    def take(self, key: tuple[Path, str | None]) -> PluginHost | None:
        with self._lock:
            found = next((host for host in reversed(self._hosts) if host.key == key), None)
            if found is not None:
                self._hosts.remove(found)
        return found if found is None or found.alive else self.take(key)

    def put(self, host: PluginHost) -> None:
        if not host.alive:
            return
        with self._lock:
            self._hosts.append(host)
            surplus = self._hosts[:-WARM_MAX]
            self._hosts = self._hosts[-WARM_MAX:]
        for old in surplus:
            old.close()

    def close(self) -> None:
        with self._lock:
            hosts, self._hosts = self._hosts, []
        for host in hosts:
            host.close()


_warm = _Warm()
close_hosts = _warm.close
"""End every idle plugin process; done at exit too."""
atexit.register(close_hosts)


def _end(returncode: int) -> str:
    if returncode < 0:
        return f"crashed ({signal.Signals(-returncode).name})"
    return f"left with exit status {returncode}"
