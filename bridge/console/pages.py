"""The page's own files, looked up in a table so that no address ever becomes a path."""

from __future__ import annotations

from importlib import resources

from starlette.responses import Response

KINDS = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
SHARED = ("player.js", "player.css", "page.js", "page.css")
"""Files that a report's page and the console share."""


class Pages:
    """The page's files, read once."""

    def __init__(self) -> None:
        own = resources.files("bridge.console") / "static"
        report = resources.files("bridge.report")
        files = {file.name: file for file in own.iterdir()}
        files |= {name if name.startswith("player") else f"report-{name}": report / name for name in SHARED}
        self._files = {
            name: Response(file.read_bytes(), media_type=KINDS["." + name.rsplit(".", 1)[1]])
            for name, file in files.items()
        }

    def get(self, name: str) -> Response:
        """The file as a response; 404 if there is none of that name."""
        return self._files.get(name) or Response(status_code=404)
