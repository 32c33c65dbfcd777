"""The README and the pages it links to are true: examples run, tables agree with the code."""

from __future__ import annotations

import re
import shlex
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import typer
from numpy.typing import NDArray

import bridge
import presets
from bridge import Client
from bridge.cli.app import command_line, main
from presets import schema
from presets.errors import AirbandError
from presets.schema import FLAGS

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
COMMANDS = (ROOT / "bridge" / "cli" / "README.md").read_text()
KNOBS = (ROOT / "presets" / "README.md").read_text()


def blocks(page: str, kind: str) -> list[str]:
    """The code blocks of one kind on a page, in order."""
    return re.findall(rf"^```{kind}\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)


def anchors(page: str) -> set[str]:
    """The anchors of a page's headings."""
    headings = re.findall(r"^#+ (.*)$", page, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def pages() -> list[Path]:
    """Every page of the sources."""
    made = {".venv", "airband-demo", "build", ".pytest_cache"}
    found = [path for path in ROOT.rglob("*.md") if not made & set(path.parts)]
    assert len(found) > 8
    return found


def knobs_table() -> str:
    """The knobs as their page shows them: made from presets.schema."""
    rows = [
        f"| `{name}` | {schema.meaning(name)} | {schema.allowed(name)} | {schema.default(name)} |"
        for name in FLAGS
    ]
    return "\n".join(["| knob | what it does | values | default |", "|---|---|---|---|", *rows])


def test_the_first_lines_are_the_two_of_a_newcomer() -> None:
    assert README.startswith("# Airband\n\n```sh\n")
    assert blocks(README, "sh")[0].splitlines() == [
        "python3 -m venv .venv && .venv/bin/pip install -q . && .venv/bin/airband demo",
        ".venv/bin/pip install -q '.[test]' && .venv/bin/pytest -q -n 4",
    ]


def test_the_knobs_are_those_of_the_schema() -> None:
    shown = KNOBS.split("<!-- knobs -->\n")[1].split("\n<!-- /knobs -->")[0]
    assert shown == knobs_table()


def test_the_exit_codes_are_those_of_the_errors() -> None:
    table = COMMANDS.split("| exit code | meaning |")[1].split("\n\n")[0]
    shown = {int(code) for code in re.findall(r"^\| (\d+) \|", table, re.MULTILINE)}
    assert shown == {0, AirbandError.exit_code, *(cls.exit_code for cls in AirbandError.__subclasses__())}


def test_every_page_and_picture_that_a_page_leads_to_is_there() -> None:
    for page in pages():
        links = re.findall(r"\]\((?!https?:)([^)#]*)(?:#([^)]+))?\)", page.read_text())
        assert [link for link, _ in links if not (page.parent / link).exists()] == [], page
        leads = [(page.parent / link if link else page, anchor) for link, anchor in links if anchor]
        assert [anchor for target, anchor in leads if anchor not in anchors(target.read_text())] == [], page


def test_every_file_that_a_page_names_is_there() -> None:
    named = r"(?<![\w/.])((?:engine|bridge|render|presets|tests)/[\w./-]*[\w/])"
    for page in pages():
        paths = re.findall(named, page.read_text())
        assert [path for path in paths if not (ROOT / path).exists()] == [], page
    training = ROOT / "engine" / "training"
    configurations = set(re.findall(r"[\w-]+\.toml", (training / "README.md").read_text()))
    assert configurations == {path.name for path in training.rglob("*.toml")}


def test_every_preset_and_command_is_named() -> None:
    shipped = [name for name in presets.names() if presets.path_of(name).parent == presets.SHIPPED]
    assert all(f"`{name}`" in KNOBS for name in shipped)
    table = COMMANDS.split("| command | what it does |")[1].split("\n\n")[0]
    shown = {word for words in re.findall(r"`([^`]+)`", table) for word in words.split()}
    assert set(typer.main.get_command(command_line()).commands) <= shown  # type: ignore[attr-defined]


def test_the_example_presets_load(tmp_path: Path) -> None:
    for number, text in enumerate(blocks(KNOBS, "toml")):
        (tmp_path / f"{number}.toml").write_text(text)
    assert presets.load(str(tmp_path / "0.toml")).cutoff == 12000
    assert presets.load(str(tmp_path / "1.toml")).effects.after[0].name == "Compressor"


@pytest.fixture
def studio(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dull: NDArray[np.float32]) -> Iterator[Path]:
    """A folder with the files that the examples name, and an engine for them."""
    if sys.platform != "linux":
        pytest.skip("the examples use the user's own folders, which XDG variables move on Linux only")
    for name in ("STATE_HOME", "RUNTIME_DIR", "CONFIG_HOME"):
        (tmp_path / name).mkdir(mode=0o700)
        monkeypatch.setenv(f"XDG_{name}", str(tmp_path / name))
    folder = tmp_path / "studio"
    for name in ("kick.wav", "album/one.wav", "album/disc2/two.flac", "calls/ann.wav"):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, dull.T, 48000, "PCM_16")
    monkeypatch.chdir(folder)
    yield folder
    assert run(monkeypatch, "airband stop --now") == 0


def run(monkeypatch: pytest.MonkeyPatch, line: str) -> int:
    monkeypatch.setattr(sys, "argv", shlex.split(line))
    with pytest.raises(SystemExit) as end:
        main()
    return int(end.value.code or 0)


def test_the_examples_of_the_command_line_run(studio: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [
        line.removeprefix("$ ")
        for line in "".join(blocks(README, "console") + blocks(COMMANDS, "console")).splitlines()
        if line.startswith("$ ")
    ]
    assert len(lines) >= 5
    for line in lines:
        assert run(monkeypatch, line) == 0, line
    made = {path.relative_to(studio).as_posix() for path in studio.rglob("*.wav*")}
    assert {"out/kick.wav", "restored/one.wav", "kick-24.wav", "preview.wav"} <= made
    assert (studio / "calls" / "ann-48k.flac").exists()
    assert (studio / "restored" / "disc2" / "two.flac").exists()


def test_the_examples_in_python_run(studio: Path) -> None:
    scope: dict[str, Any] = {}
    for block in blocks(README, "python"):
        exec(compile(block, "README.md", "exec"), scope)
    assert scope["result"].audio.shape == (1, 96000)
    example = textwrap.dedent(
        str(bridge.__doc__).split("\n\n")[1] + "\n\n" + str(bridge.__doc__).split("\n\n")[2]
    )
    exec(compile(example, "bridge", "exec"), {"samples": scope["speech"][:, :22050]})
    assert (studio / "kick-restored.wav").exists()
    assert scope["restored"].shape == (1, 96000)


def test_the_chain_as_a_preset_gives_the_samples_of_the_rack(studio: Path) -> None:
    scope: dict[str, Any] = {}
    for block in blocks(README, "python"):
        exec(compile(block, "README.md", "exec"), scope)
    (studio / "chain.toml").write_text(blocks(KNOBS, "toml")[1])
    with Client.connect() as client:
        result = client.submit(
            (scope["speech"], scope["rate"]), presets.load(str(studio / "chain.toml"))
        ).wait()
        np.testing.assert_array_equal(result.audio, scope["restored"])


def test_what_is_said_of_dependencies_holds() -> None:
    checks: dict[str, Callable[[], bool]] = {
        "Python 3.11 to 3.13": lambda: (
            'requires-python = ">=3.11,<3.14"' in (ROOT / "pyproject.toml").read_text()
        ),
        "GPL-3.0-or-later": lambda: 'license = "GPL-3.0-or-later"' in (ROOT / "pyproject.toml").read_text(),
    }
    for said, holds in checks.items():
        assert said in README
        assert holds()
