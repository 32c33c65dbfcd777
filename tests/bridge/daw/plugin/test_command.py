"""Processes that the plugins start, tested without a plugin and without an engine."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

SOURCES = Path(__file__).parents[4] / "bridge" / "daw" / "plugin" / "client"
KILLED = "-1 "

pytestmark = [
    pytest.mark.skipif(os.name != "posix", reason="other systems have no signals to block"),
    pytest.mark.skipif(shutil.which("g++") is None, reason="no g++ on PATH"),
]


@pytest.fixture(scope="module")
def deaf_host(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A program that blocks SIGTERM and ignores SIGINT, and runs a command as the plugins do."""
    program = tmp_path_factory.mktemp("hosts") / "deaf_host"
    own = Path(__file__).parent / "deaf_host.cpp"
    sources = [own, SOURCES / "posix" / "Command.cpp"]
    subprocess.run(["g++", "-std=c++11", f"-I{SOURCES}", *sources, "-o", program], check=True, timeout=300)
    return program


@pytest.mark.parametrize("signal", ["TERM", "INT"])
def test_a_child_hears_the_signals_that_its_host_does_not(deaf_host: Path, signal: str) -> None:
    command = [deaf_host, "sh", "-c", f"kill -{signal} $$; echo deaf"]
    said = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert said.stdout == KILLED, said


def test_a_child_ends_though_its_host_waits_for_all_children_itself(deaf_host: Path) -> None:
    said = subprocess.run(
        [deaf_host, "sh", "-c", "echo said"],
        capture_output=True, text=True, timeout=60, env=os.environ | {"REAPS": "1"},
    )  # fmt: skip
    assert said.stdout == "-1 said\n"


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="needs Linux's /proc")
def test_a_child_inherits_no_file_of_its_host(deaf_host: Path, tmp_path: Path) -> None:
    held = tmp_path / "sound card"
    held.touch()
    said = subprocess.run(
        [deaf_host, "sh", "-c", "ls -l /proc/self/fd"],
        capture_output=True, text=True, timeout=60, env=os.environ | {"HELD": str(held)},
    )  # fmt: skip
    assert said.stdout.startswith("0 ")
    assert held.name not in said.stdout


def test_a_child_says_what_it_has_to_say(deaf_host: Path) -> None:
    said = subprocess.run(
        [deaf_host, "sh", "-c", "echo said; exit 3"], capture_output=True, text=True, timeout=60
    )
    assert said.stdout == "3 said\n"
