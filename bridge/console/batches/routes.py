"""The routes of watch folders and batches, and of their reports."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from bridge.console.batches.batch import BatchAsked
from bridge.console.batches.batches import Batches
from bridge.console.feed import Feed
from bridge.console.http import answer, body
from bridge.report.page import contents, filled

STYLE = (
    '<link rel="stylesheet" href="/static/report-page.css"><link rel="stylesheet" href="/static/player.css">'
)
SCRIPT = '<script src="/static/player.js"></script><script src="/static/report-page.js"></script>'


class Action(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An action on a batch."""

    what: Literal["pause", "resume", "remove"]


class BatchRoutes:
    """The requests about batches.

    Args:
        batches: all of them.
        feed: notified of changes.
    """

    def __init__(self, batches: Batches, feed: Feed) -> None:
        self._batches, self._feed = batches, feed

    @property
    def routes(self) -> list[Route]:
        """All routes."""
        return [
            Route("/api/batches", self._start, methods=["POST"]),
            Route("/api/batches/{id}", self._act, methods=["POST"]),
            Route("/batches/{id}/report", self._report),
        ]

    async def _start(self, request: Request) -> Response:
        told = await run_in_threadpool(self._batches.add, await body(request, BatchAsked))
        self._feed.wake()
        return answer(told)

    async def _act(self, request: Request) -> Response:
        asked = await body(request, Action)
        await run_in_threadpool(self._batches.act, request.path_params["id"], asked.what)
        self._feed.wake()
        return answer()

    async def _report(self, request: Request) -> Response:
        batch = self._batches.get(request.path_params["id"])
        shown = await run_in_threadpool(contents, list(batch.events.values()), Path(batch.asked.out))
        for row in shown["rows"]:
            row["link"] = None  # a page served over HTTP cannot link to files on disk
        title = f"Airband: {Path(batch.asked.source).name}"
        return HTMLResponse(filled(title, shown, style=STYLE, script=SCRIPT))
