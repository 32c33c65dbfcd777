"""The index for REAPER's package manager ReaPack: one package with all of Airband's scripts.

Sources: "Index Format" and "Packaging Documentation" in ReaPack's wiki. The main script's header lists the
    files
of the package, and which of them are actions.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote
from xml.etree import ElementTree

from presets.errors import UsageError
from presets.version import VERSION

SCRIPTS = Path(__file__).parent / "reaper"
MAIN = "Airband - Restore item as new take.lua"
PROVIDED = re.compile(r"^--   \[(main|nomain)\] (.+)$", re.MULTILINE)


def reapack_index(url: str, when: datetime) -> str:
    """The index as XML.

    Args:
        url: the http(s) URL of the folder that holds the scripts.
        when: time of the release.

    Raises:
        UsageError: the URL is of another kind.
    """
    if not url.startswith(("https://", "http://")):
        raise UsageError(f"{url}: ReaPack fetches over https:// or http:// only", "url")
    header = (SCRIPTS / MAIN).read_text(encoding="utf-8")
    index = ElementTree.Element("index", version="1", name="Airband")
    category = ElementTree.SubElement(index, "category", name="Airband")
    package = ElementTree.SubElement(
        category, "reapack", name=MAIN, type="script", desc=_said(header, "description")
    )
    version = ElementTree.SubElement(
        package,
        "version",
        name=VERSION,
        author=_said(header, "author"),
        time=when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    )
    for kind, name in PROVIDED.findall(header):
        source = ElementTree.SubElement(version, "source")
        if name != ".":
            source.set("file", name)
        if kind == "main":
            source.set("main", "main")
        source.text = f"{url.rstrip('/')}/{quote(MAIN if name == '.' else name)}"
    ElementTree.indent(index)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ElementTree.tostring(index, "unicode") + "\n"


def _said(header: str, tag: str) -> str:
    found = re.search(rf"^-- @{tag} (.+)$", header, re.MULTILINE)
    assert found is not None, tag
    return found[1]
