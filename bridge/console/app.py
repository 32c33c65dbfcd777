"""The console as an ASGI application: its parts, and the routes that belong to no single part."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any, Literal

import msgspec
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp

import presets
from bridge.console import knobs
from bridge.console.batches.batches import Batches
from bridge.console.batches.routes import BatchRoutes
from bridge.console.clips.records import Clips
from bridge.console.clips.routes import ClipRoutes
from bridge.console.clips.uploads import Uploads
from bridge.console.engine_line import EngineLine
from bridge.console.feed import Feed
from bridge.console.guard import Guard
from bridge.console.http import answer, body, refusal
from bridge.console.pages import Pages
from bridge.wire.home import Home
from bridge.wire.messages import JobId
from presets import schema
from presets.errors import AirbandError, EngineError


class JobAction(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An action on jobs; `priority` applies to `prioritise`."""

    what: Literal["cancel", "forget", "prioritise"]
    jobs: list[JobId]
    priority: int = 0


class PresetAsked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A preset to save: `preset`, overridden by `knobs`."""

    name: str
    preset: str
    knobs: dict[str, Any]
    description: str = ""
    force: bool = False


class Console:
    """All parts, and the routes of the page, the engine and the presets.

    Args:
        home: of the console's engine.
        quota_bytes: the most that all uploads together may hold.
    """

    def __init__(self, home: Home, quota_bytes: int) -> None:
        self.line = EngineLine(home)
        clips = Clips(home.state / "console" / "clips")
        self._batches = Batches(home.state / "console" / "batches.json", self.line)
        self._pages = Pages()
        self._feed = Feed(
            self.line,
            {"clips": lambda: msgspec.to_builtins(clips.all()), "batches": self._batches.told},
        )
        self._routes = [
            Route("/", self._page),
            Route("/static/{name}", self._static),
            Route("/api/events", self._events),
            Route("/api/engine/start", self._start_engine, methods=["POST"]),
            Route("/api/jobs", self._act_on_jobs, methods=["POST"]),
            Route("/api/paths", self._paths),
            Route("/api/knobs", self._knobs),
            Route("/api/presets", self._save_preset, methods=["POST"]),
            *ClipRoutes(self.line, clips, Uploads(clips.folder, quota_bytes), self._feed).routes,
            *BatchRoutes(self._batches, self._feed).routes,
        ]

    def app(self, token: str, port: int) -> ASGIApp:
        """The application behind its guard."""
        handlers: dict[Any, Any] = {AirbandError: refusal}
        inner = Starlette(routes=self._routes, lifespan=self._lifespan, exception_handlers=handlers)
        return Guard(inner, token, port)

    @contextlib.asynccontextmanager
    async def _lifespan(self, app: Starlette) -> AsyncIterator[None]:
        looking = asyncio.create_task(self._feed.run())
        self._batches.resume()
        try:
            yield
        finally:
            looking.cancel()
            with suppress(asyncio.CancelledError):
                await looking
            await run_in_threadpool(self._batches.close)
            await run_in_threadpool(self.line.close)

    async def _page(self, request: Request) -> Response:
        return self._pages.get("index.html")

    async def _static(self, request: Request) -> Response:
        return self._pages.get(request.path_params["name"])

    async def _events(self, request: Request) -> Response:
        return StreamingResponse(self._feed.events(), media_type="text/event-stream")

    async def _start_engine(self, request: Request) -> Response:
        await run_in_threadpool(self.line.start)
        self._feed.wake()
        return answer()

    async def _act_on_jobs(self, request: Request) -> Response:
        asked = await body(request, JobAction)
        told = await run_in_threadpool(self._act, asked)
        if asked.what == "forget":
            self._feed.look_at_all()
        self._feed.wake()
        return answer(told)

    def _act(self, asked: JobAction) -> dict[str, Any]:
        """Applies the action to each job; reports those that refuse it, and goes on with the others."""
        client = self.line.client()
        actions: dict[str, Callable[[str], Any]] = {
            "cancel": client.cancel,
            "forget": client.forget,
            "prioritise": lambda job: client.prioritise(job, asked.priority),
        }
        refused = {}
        for job in asked.jobs:
            try:
                actions[asked.what](job)
            except EngineError:
                raise
            except AirbandError as error:
                refused[job] = error.message
        return {"refused": refused}

    async def _paths(self, request: Request) -> Response:
        text = request.query_params.get("of", "")
        return answer(await run_in_threadpool(self.line.roots.suggestions, text))

    async def _knobs(self, request: Request) -> Response:
        return answer(await run_in_threadpool(knobs.form))

    async def _save_preset(self, request: Request) -> Response:
        asked = await body(request, PresetAsked)
        preset = schema.make(presets.load(asked.preset), **asked.knobs, description=asked.description)
        path = await run_in_threadpool(knobs.save, asked.name, preset, asked.force)
        return answer({"path": str(path), "presets": await run_in_threadpool(knobs.listed)})
