"""The index for ReaPack: one package with every script, and each action marked as one."""

from collections.abc import Callable
from typing import Any
from urllib.parse import unquote
from xml.etree import ElementTree

from bridge.daw.reapack import MAIN, SCRIPTS
from presets.version import VERSION

URL = "https://example.org/airband/reaper"


def test_every_script_is_in_the_package_and_the_actions_are_marked(airband: Callable[..., Any]) -> None:
    index = ElementTree.fromstring(airband("daw", "reapack", URL + "/").out)
    assert (index.tag, index.attrib) == ("index", {"version": "1", "name": "Airband"})
    (package,) = index.findall("category/reapack")
    assert package.get("type") == "script"
    (version,) = package.findall("version")
    assert version.get("name") == VERSION
    sources = version.findall("source")
    names = [source.get("file", MAIN) for source in sources]
    assert sorted(names) == sorted(path.name for path in SCRIPTS.glob("*.lua"))
    for name, source in zip(names, sources, strict=True):
        assert unquote(str(source.text)) == f"{URL}/{name}"
        assert " " not in str(source.text)
        assert (source.get("main") == "main") == name.startswith("Airband - ")


def test_the_header_that_reapack_reads_has_this_version() -> None:
    assert f"-- @version {VERSION}\n" in (SCRIPTS / MAIN).read_text()


def test_an_address_that_cannot_be_fetched_is_refused(airband: Callable[..., Any]) -> None:
    assert airband("daw", "reapack", "/home/me/scripts").code == 2
