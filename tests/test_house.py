"""Limits on the sources: folders that a newcomer can survey, files that hold one idea."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("engine", "bridge", "render", "presets")
MODULES_MAX = 15
ROOMY = {"render": 20, "bridge/cli": 20}
"""Folders with more modules: the path of a clip and the commands read better in one place."""
LINES_MAX = 350
LONG = {"bridge/wire/messages.py": 420}
"""Longer files: the protocol is kept in one."""
MODULES = sorted(path.relative_to(ROOT) for package in PACKAGES for path in (ROOT / package).rglob("*.py"))

pytestmark = pytest.mark.skipif(not (ROOT / "pyproject.toml").exists(), reason="not run in the sources")


def test_a_folder_holds_few_modules() -> None:
    counts: dict[str, int] = {}
    for module in MODULES:
        if module.name != "__init__.py":
            counts[str(module.parent)] = counts.get(str(module.parent), 0) + 1
    assert counts["render"] > 10, "nothing was counted"
    assert {folder: n for folder, n in counts.items() if n > ROOMY.get(folder, MODULES_MAX)} == {}


def test_a_file_is_not_long() -> None:
    lengths = {str(module): len((ROOT / module).read_text().splitlines()) for module in MODULES}
    assert {name: n for name, n in lengths.items() if n > LONG.get(name, LINES_MAX)} == {}


def test_tests_stand_where_what_they_test_stands() -> None:
    folders = {path.parent.relative_to(ROOT / "tests") for path in (ROOT / "tests").rglob("test_*.py")}
    assert {str(folder) for folder in folders if not (ROOT / folder).is_dir()} <= {"faults"}
