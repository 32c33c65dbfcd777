"""The routes of clips and their takes."""

from __future__ import annotations

import shutil
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, Response, StreamingResponse
from starlette.routing import Route

from bridge.batch.sources import check_source
from bridge.console.clips.records import ClipRecord, Clips
from bridge.console.clips.takes import Asked, Takes
from bridge.console.clips.uploads import Uploads, safe_name
from bridge.console.clips.views import Views
from bridge.console.engine_line import EngineLine
from bridge.console.feed import Feed
from bridge.console.http import answer, attachment, body, job_of
from bridge.wire.messages import FINAL
from presets.errors import AirbandError, UsageError


class Named(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A body that names a path."""

    path: str


class Sized(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A body that tells the size of a file to be uploaded."""

    nbytes: Annotated[int, msgspec.Meta(ge=0)]


class ClipRoutes:
    """The requests about clips.

    Args:
        line: to the engine.
        clips: the open ones.
        uploads: receives files.
        feed: notified of changes.
    """

    def __init__(self, line: EngineLine, clips: Clips, uploads: Uploads, feed: Feed) -> None:
        self._line, self._clips, self._uploads, self._feed = line, clips, uploads, feed
        self._takes, self._views = Takes(line, clips), Views()

    @property
    def routes(self) -> list[Route]:
        """All routes."""
        return [
            Route("/api/clips", self._upload, methods=["POST"]),
            Route("/api/clips/room", self._room, methods=["POST"]),
            Route("/api/clips/path", self._open_path, methods=["POST"]),
            Route("/api/clips/{id}", self._close, methods=["DELETE"]),
            Route("/api/clips/{id}/facts", self._facts),
            Route("/api/clips/{id}/wave", self._wave),
            Route("/api/clips/{id}/spectrogram", self._spectrogram),
            Route("/api/clips/{id}/foresee", self._foresee, methods=["POST"]),
            Route("/api/clips/{id}/takes", self._begin, methods=["POST"]),
            Route("/api/takes/{job}", self._drop, methods=["DELETE"]),
            Route("/api/takes/{job}", self._heard),
            Route("/api/takes/{job}/sound/{key}", self._sound),
            Route("/api/takes/{job}/download", self._download),
        ]

    async def _upload(self, request: Request) -> Response:
        name = safe_name(request.query_params.get("name", ""))
        promised = request.headers.get("content-length")
        folder = self._clips.new_folder()
        try:
            length = int(promised) if promised is not None else None
            await self._uploads.receive(request.stream(), length, folder / name)
            clip = await run_in_threadpool(self._clips.add, folder / name, folder)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        return self._changed(clip)

    async def _room(self, request: Request) -> Response:
        asked = await body(request, Sized)
        await run_in_threadpool(self._uploads.check_room, asked.nbytes)
        return answer()

    async def _open_path(self, request: Request) -> Response:
        path = self._line.roots.allowed((await body(request, Named)).path)
        check_source(path)
        return self._changed(await run_in_threadpool(self._clips.add, path))

    async def _close(self, request: Request) -> Response:
        clip = self._clip(request)
        await run_in_threadpool(self._call_off, clip)
        await run_in_threadpool(self._views.close, Path(clip.path))
        await run_in_threadpool(self._clips.close, clip.id)
        return self._changed()

    def _call_off(self, clip: ClipRecord) -> None:
        """Cancels the renders of an uploaded clip, whose source is deleted with it."""
        if not clip.uploaded or not clip.takes:
            return
        with suppress(AirbandError):
            client = self._line.client()
            for take in clip.takes:
                with suppress(UsageError):
                    if client.status(take.job).state not in FINAL:
                        client.cancel(take.job)

    async def _facts(self, request: Request) -> Response:
        source = self._source(self._clip(request))
        return answer(await run_in_threadpool(self._views.facts, source))

    async def _wave(self, request: Request) -> Response:
        return answer(await run_in_threadpool(self._views.wave, *self._stretch(request)))

    async def _spectrogram(self, request: Request) -> Response:
        picture = await run_in_threadpool(self._views.spectrogram, *self._stretch(request))
        return Response(picture, media_type="image/png")

    def _stretch(self, request: Request) -> tuple[Path, float, float, int]:
        """A view's source, its start and end in seconds, and its number of columns."""
        asked = request.query_params
        try:
            start_s, end_s = float(asked["start"]), float(asked["end"])
            columns = int(asked["columns"])
        except (KeyError, ValueError) as error:
            raise UsageError(f"a view has start, end (seconds) and columns: {error}", "view") from None
        if not 0 <= start_s < end_s < 1e8:
            raise UsageError(f"a view from {start_s:g} to {end_s:g} s is not possible", "view")
        return self._source(self._clip(request)), start_s, end_s, columns

    async def _foresee(self, request: Request) -> Response:
        clip, asked = self._clip(request), await body(request, Asked)
        told = await run_in_threadpool(self._takes.foreseen, asked)
        return answer({**told, "beside": self._takes.beside(clip, asked)})

    async def _begin(self, request: Request) -> Response:
        clip, asked = self._clip(request), await body(request, Asked)
        return self._changed(await run_in_threadpool(self._takes.begin, clip, asked))

    async def _heard(self, request: Request) -> Response:
        return answer(await run_in_threadpool(self._takes.heard, job_of(request)))

    async def _sound(self, request: Request) -> Response:
        path = await run_in_threadpool(self._takes.sound, job_of(request), request.path_params["key"])
        return FileResponse(path, media_type="audio/wav")

    async def _download(self, request: Request) -> Response:
        clip, take = self._clips.take(job_of(request))
        result = await run_in_threadpool(self._takes.result, take.job)
        headers = attachment(self._takes.name(clip, take))
        if result.path is not None:
            return FileResponse(self._line.roots.allowed(str(result.path)), headers=headers)
        headers["content-length"] = str(result.stem.nbytes)
        pieces = map(bytes, result.pieces())
        return StreamingResponse(pieces, media_type="application/octet-stream", headers=headers)

    async def _drop(self, request: Request) -> Response:
        await run_in_threadpool(self._clips.drop_take, job_of(request))
        return self._changed()

    def _clip(self, request: Request) -> ClipRecord:
        return self._clips.get(request.path_params["id"])

    def _source(self, clip: ClipRecord) -> Path:
        """The clip's file; unless uploaded, it is checked against the roots again: links may have changed."""
        return Path(clip.path) if clip.uploaded else self._line.roots.allowed(clip.path)

    def _changed(self, value: object = None) -> Response:
        self._feed.wake()
        return answer(value)
