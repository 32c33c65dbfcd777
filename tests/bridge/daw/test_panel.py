"""The plugins' windows in a real host, Pedalboard, on a virtual screen: what they show; a click counts.

pytest -m plugin tests/bridge/daw/test_panel.py
"""

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

from bridge.daw.build import DPF

TOOLS = ("Xvfb", "openbox", "xsettingsd", "xdotool", "import")
pytestmark = [
    pytest.mark.plugin,
    pytest.mark.skipif(
        not DPF.is_dir() or any(shutil.which(tool) is None for tool in TOOLS),
        reason=f"needs Debian's dpf-source and what it is built with, and {', '.join(TOOLS)}",
    ),
    pytest.mark.timeout(1800),
]

GROUND = (24, 27, 32)
ARMED = (168, 111)  # where the switch is
HOST = """
import sys, threading
import pedalboard
plugin = pedalboard.load_plugin(sys.argv[1])
closed = threading.Event()
threading.Thread(target=lambda: (sys.stdin.readline(), closed.set()), daemon=True).start()
plugin.show_editor(closed)
plugin.raw_state = plugin.raw_state
print("ARMED", float(getattr(plugin, "armed", 0)))
"""


class Window:
    """A plugin's window on the screen."""

    def __init__(self, display: str, host: "subprocess.Popen[str]", folder: Path) -> None:
        self._environment = {"DISPLAY": display, "PATH": "/usr/bin:/bin"}
        self._folder = folder
        self.host = host

    def click(self, place: tuple[int, int]) -> None:
        found = ("search", "--name", "Pedalboard", "mousemove", "--window", "%1", *map(str, place))
        self._run("xdotool", *found, "click", "1")

    def picture(self) -> NDArray[np.uint8]:
        """What is on the screen: (height, width, 3)."""
        path = self._folder / "screen.ppm"
        self._run("import", "-window", "root", "-depth", "8", path)
        magic, width, height, most, pixels = path.read_bytes().split(maxsplit=4)
        assert (magic, most) == (b"P6", b"255")
        return np.frombuffer(pixels, np.uint8).reshape(int(height), int(width), 3)

    @property
    def is_open(self) -> bool:
        """Whether the panel's ground is to be seen."""
        return int((self.picture() == GROUND).all(axis=2).sum()) > 50000

    @property
    def red(self) -> int:
        """How many pixels are red: a switch that is on, a failure."""
        picture = self.picture().astype(int)
        return int((picture[:, :, 0] - picture[:, :, 1] > 60).sum())

    def _run(self, *command: str | Path) -> None:
        subprocess.run(command, env=self._environment, check=True, capture_output=True, timeout=60)


@pytest.fixture
def opened(
    built: Path, results: Path, screen: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Any]:
    """`with opened("AirbandSend") as window`: its window, and nothing else on the screen."""
    monkeypatch.setenv("DISPLAY", screen)
    (tmp_path / "xsettings").write_text("")
    desktop = [
        ["openbox"],
        ["xsettingsd", "-c", str(tmp_path / "xsettings")],
    ]  # Pedalboard's windows need both
    running = [subprocess.Popen(command, stderr=subprocess.DEVNULL) for command in desktop]

    @contextmanager
    def open_window(name: str) -> Iterator[Window]:
        command = [sys.executable, "-c", HOST, str(built / f"{name}.vst3")]
        host = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        with host:
            window = Window(screen, host, tmp_path)
            deadline_s = time.monotonic() + 120
            while not window.is_open:
                assert host.poll() is None, "the host has ended"
                assert time.monotonic() < deadline_s, "no window"
                time.sleep(0.5)
            yield window
            if host.poll() is None:
                host.kill()

    yield open_window
    for process in running:
        process.kill()
        process.wait()


def test_a_click_arms_send(
    opened: Callable[[str], Any], wait_until: Callable[[Callable[[], bool], str], None]
) -> None:
    with opened("AirbandSend") as window:
        assert window.red < 100
        window.click(ARMED)
        wait_until(lambda: window.red > 1000, "the switch to be red")
        said, _ = window.host.communicate("close\n", timeout=60)
    assert said.split() == ["ARMED", "1.0"]


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
