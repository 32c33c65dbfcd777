"""The plugins' windows in Pedalboard, a CLAP host and jalv, on a virtual display: what they show, and clicks.

pytest -m plugin tests/bridge/daw/plugin/test_panel.py
"""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

TOOLS = ("Xvfb", "openbox", "xsettingsd", "xdotool", "import")
pytestmark = pytest.mark.skipif(
    any(shutil.which(tool) is None for tool in TOOLS), reason=f"needs {', '.join(TOOLS)}"
)

GROUND = (24, 27, 32)
ARMED, FOLDER = (168, 111), (210, 267)
"""Positions of the switch and the button."""
TITLES = {"pedalboard": "Pedalboard", "clap": "CLAP"}
PEDALBOARD = """
import sys, threading
import pedalboard
plugin = pedalboard.load_plugin(sys.argv[1])
closed = threading.Event()
threading.Thread(target=lambda: (sys.stdin.readline(), closed.set()), daemon=True).start()
plugin.show_editor(closed)
plugin.raw_state = plugin.raw_state
print("ARMED", float(getattr(plugin, "armed", 0)))
"""
MORTAL = ("setpriv", "--pdeathsig", "TERM")  # makes a child end with the tests in any case


class Window:
    """A plugin's window on the display, in a host."""

    def __init__(self, display: str, title: str, host: "subprocess.Popen[str]", folder: Path) -> None:
        self._environment = {"DISPLAY": display, "PATH": "/usr/bin:/bin"}
        self._title, self._folder = title, folder
        self.host = host

    def click(self, place: tuple[int, int]) -> None:
        found = ("search", "--onlyvisible", "--name", self._title, "mousemove", "--window", "%1")
        self._run("xdotool", *found, *map(str, place), "click", "1")

    def picture(self) -> NDArray[np.uint8]:
        """A screenshot: (height, width, 3)."""
        path = self._folder / "screen.ppm"
        self._run("import", "-window", "root", "-depth", "8", path)
        magic, width, height, most, pixels = path.read_bytes().split(maxsplit=4)
        assert (magic, most) == (b"P6", b"255")
        return np.frombuffer(pixels, np.uint8).reshape(int(height), int(width), 3)

    @property
    def is_open(self) -> bool:
        """Whether the panel's background is visible."""
        return int((self.picture() == GROUND).all(axis=2).sum()) > 50000

    @property
    def red(self) -> int:
        """The number of red pixels: a switch that is on, or a failure."""
        picture = self.picture().astype(int)
        return int((picture[:, :, 0] - picture[:, :, 1] > 60).sum())

    def _run(self, *command: str | Path) -> None:
        subprocess.run(command, env=self._environment, check=True, capture_output=True, timeout=60)


@pytest.fixture(params=["pedalboard", "clap", "jalv"])
def opened(
    built: Path, hosts: Path, results: Path, screen: str, tmp_path: Path, request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Any]:  # fmt: skip
    """`with opened("AirbandSend") as window`: its window, and nothing else on the display."""
    monkeypatch.setenv("DISPLAY", screen)
    (tmp_path / "xsettings").write_text("")
    # Pedalboard's windows need both.
    beside = [["openbox"], ["xsettingsd", "-c", str(tmp_path / "xsettings")]]
    server = f"airband-{os.getpid()}"
    if request.param == "jalv":
        if shutil.which("jalv") is None or shutil.which("jackd") is None:
            pytest.skip("needs apt-get install jalv jackd2")
        beside.append(["jackd", "-n", server, "-r", "-d", "dummy"])
        monkeypatch.setenv("JACK_DEFAULT_SERVER", server)
        monkeypatch.setenv("LV2_PATH", str(built))
    log = (tmp_path / "beside.log").open("w")
    running = [subprocess.Popen([*MORTAL, *command], stdout=log, stderr=log) for command in beside]
    if request.param == "jalv":
        subprocess.run(["jack_wait", "-s", server, "-w", "-t", "60"], check=True, capture_output=True)

    def command(name: str) -> list[str]:
        if request.param == "pedalboard":
            return [sys.executable, "-c", PEDALBOARD, str(built / f"{name}.vst3")]
        if request.param == "clap":
            return [str(hosts / "clap_window"), str(built / f"{name}.clap")]
        uri = "urn:airband:" + name.removeprefix("Airband").lower()
        return [*MORTAL, "stdbuf", "-oL", "jalv", "-s", "-n", name, uri]

    @contextmanager
    def open_window(name: str) -> Iterator[Window]:
        host = subprocess.Popen(command(name), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        with host:
            window = Window(screen, TITLES.get(request.param, name), host, tmp_path)
            deadline_s = time.monotonic() + 120
            while not window.is_open:
                assert host.poll() is None, "the host has ended"
                assert time.monotonic() < deadline_s, "no window"
                time.sleep(0.5)
            yield window
            if host.poll() is None:
                host.kill()

    yield open_window
    for process in reversed(running):
        process.terminate()
        process.wait()
    log.close()


@pytest.mark.parametrize("opened", ["pedalboard", "clap"], indirect=True)  # clicks did not arrive in jalv
def test_a_click_arms_send(
    opened: Callable[[str], Any], wait_until: Callable[[Callable[[], bool], str], None]
) -> None:
    with opened("AirbandSend") as window:
        assert window.red < 100
        window.click(ARMED)
        wait_until(lambda: window.red > 1000, "the switch to be red")
        said, _ = window.host.communicate("close\n", timeout=60)
    assert said.split() == ["ARMED", "1.0"]


@pytest.mark.parametrize("opened", ["pedalboard", "clap"], indirect=True)
def test_a_click_opens_the_folder_of_results_before_there_is_one(
    opened: Callable[[str], Any], tmp_path: Path, results: Path, monkeypatch: pytest.MonkeyPatch,
    wait_until: Callable[[Callable[[], bool], str], None],
) -> None:  # fmt: skip
    shown, manager = tmp_path / "shown", tmp_path / "bin" / "xdg-open"
    manager.parent.mkdir()
    manager.write_text(f'#!/bin/sh\ncd "$1" && pwd >"{shown}"\n')
    manager.chmod(0o755)
    monkeypatch.setenv("PATH", f"{manager.parent}:{os.environ['PATH']}")
    with opened("AirbandSend") as window:
        window.click(FOLDER)
        wait_until(lambda: shown.exists() and bool(shown.read_text()), "the folder")
    assert shown.read_text().strip() == str(results)


def test_render_says_why_no_engine_can_be_met(
    opened: Callable[[str], Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    wait_until: Callable[[Callable[[], bool], str], None],
) -> None:
    monkeypatch.delenv("AIRBAND_START")
    monkeypatch.setenv("AIRBAND_COMMAND", str(tmp_path / "no-such-command"))
    with opened("AirbandRender") as window:
        wait_until(lambda: window.red > 500, "the reason in red")
