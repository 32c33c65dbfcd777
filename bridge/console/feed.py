"""Sends every open page the state of the engine, its jobs, clips and batches, and then the changes.

While a page is open, the engine is polled twice a second. A page gets everything once, then only changes.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import suppress
from typing import Any

import msgspec
from starlette.concurrency import run_in_threadpool

from bridge.client.vitals import folder_bytes, memory_mb
from bridge.console.engine_line import EngineLine
from bridge.console.http import encoded
from bridge.console.pace import Pace
from bridge.wire.home import read_connection
from bridge.wire.messages import FINAL, JobStatus, Progress
from presets.errors import AirbandError, UsageError
from presets.limits import CLIP_BYTES

log = logging.getLogger("airband.console")

LOOK_S = 0.5
WHOLE_S = 10.0
"""The shortest time between listings of all jobs: a job that somebody else forgot may show for so long."""
VITALS_S = 4.0
"""How often the engine's memory and the size of its spool are measured, in seconds."""
NEWEST = 60
JOBS_A_MESSAGE = 500
"""Limit per message, so that the console can serve other pages while one is sent thousands of jobs."""
WAITING_MAX = 64
"""Messages that may wait for a page; a page that reads none of them gets everything again."""
KEEP_ALIVE_S = 15.0

Part = dict[str, Any]


class Feed:
    """Polls the engine, and sends changes to the open pages.

    Args:
        line: to the engine.
        others: further parts of the state by name, each with a function that returns its current value.
    """

    def __init__(self, line: EngineLine, others: dict[str, Callable[[], Any]]) -> None:
        self._line, self._others = line, others
        self._jobs: dict[str, Part] = {}
        self._progress: dict[str, Progress | None] = {}
        self._said: Part = {"engine": {"state": "unknown"}}
        self._pages: set[asyncio.Queue[Part | None]] = set()
        self._whole, self._vital = Pace(WHOLE_S), Pace(VITALS_S)
        self._vitals: Part = {}
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """Polls again at once; only for the event loop's own thread."""
        self._woken.set()

    def look_at_all(self) -> None:
        """Makes the next poll list all jobs."""
        self._whole.hurry()

    async def run(self) -> None:
        """Polls for as long as a page is open."""
        while True:
            if self._pages:
                try:
                    await self._look()
                except Exception:  # an unforeseen error costs one poll, not the whole feed
                    log.exception("a look at the engine failed")
            with suppress(TimeoutError):
                await asyncio.wait_for(self._woken.wait(), LOOK_S if self._pages else None)
            self._woken.clear()

    async def events(self) -> AsyncGenerator[bytes, None]:
        """The messages to a page, as server-sent events; ends when the page is closed."""
        waiting: asyncio.Queue[Part | None] = asyncio.Queue(WAITING_MAX)
        self._pages.add(waiting)
        self.wake()
        try:
            for piece in _pieces(self._everything()):
                yield _event(piece)
            while True:
                try:
                    message = await asyncio.wait_for(waiting.get(), KEEP_ALIVE_S)
                except TimeoutError:
                    yield b": still here\n\n"
                    continue
                for piece in _pieces(self._everything() if message is None else message):
                    yield _event(piece)
        finally:
            self._pages.discard(waiting)

    def _everything(self) -> Part:
        return {"all": True, **self._said, "jobs": list(self._jobs.values())}

    async def _look(self) -> None:
        changes: Part = {}
        engine, jobs, gone = await run_in_threadpool(self._seen)
        others = await run_in_threadpool(lambda: {name: part() for name, part in self._others.items()})
        told = {"engine": engine, **others}
        for name, part in told.items():
            if self._said.get(name) != part:
                self._said[name] = changes[name] = part
        if jobs:
            changes["jobs"] = jobs
        if gone:
            changes["gone"] = gone
        if changes:
            self._tell(changes)

    def _tell(self, message: Part) -> None:
        for waiting in self._pages:
            if waiting.full():
                while not waiting.empty():
                    waiting.get_nowait()
                waiting.put_nowait(None)
            else:
                waiting.put_nowait(message)

    def _seen(self) -> tuple[Part, list[Part], list[str]]:
        """The engine; the jobs that changed; the jobs that are gone."""
        try:
            client = self._line.client()
            answer_s = client.ping()
            listed = self._listed(client)
        except AirbandError as error:
            self.look_at_all()
            return {"state": "gone", "why": error.message}, [], []
        states = Counter(line["state"] for line in self._jobs.values())
        engine = {
            "state": "here",
            "answer_ms": _rounded_ms(answer_s),
            "models": msgspec.to_builtins(client.models),
            "clip_bytes": CLIP_BYTES,
            **self._vital_signs(),
        }
        changed, gone = listed
        engine["states"] = dict(states)
        return engine, changed, gone

    def _listed(self, client: Any) -> tuple[list[Part], list[str]]:
        began_s = time.monotonic()
        whole = self._whole.is_due(began_s)
        if whole:
            lines = {line.job: line for line in client.jobs(None)}
            self._whole.looked(began_s, time.monotonic())
        else:
            lines = {line.job: line for line in client.jobs(NEWEST)}
            lines |= {line.job: line for line in client.jobs(None, unfinished=True)}
        gone = [job for job in self._jobs if job not in lines] if whole else []
        if not whole:
            for job, known in self._jobs.items():
                if known["state"] not in FINAL and job not in lines:
                    try:
                        lines[job] = client.status(job)
                    except UsageError:
                        gone.append(job)
        for job in gone:
            del self._jobs[job]
        changed = []
        for job, line in lines.items():
            if line.state == "running":
                self._follow(client, job)
            told = self._told(line)
            if self._jobs.get(job) != told:
                self._jobs[job] = told
                changed.append(told)
        return changed, gone

    def _told(self, line: JobStatus) -> Part:
        told: Part = msgspec.to_builtins(line)
        progress = self._progress.get(line.job) if line.state == "running" else None
        if progress is not None:
            told |= {"stage": progress.stage, "step": progress.step, "of": progress.of}
            told["eta_s"] = progress.eta_s
        return told

    def _follow(self, client: Any, job: str) -> None:
        """Keeps the latest progress of a running job, with the time it still needs."""
        if job in self._progress:
            return
        self._progress[job] = None

        def follow() -> None:
            try:
                with suppress(AirbandError):  # the next poll shows what became of the job
                    for event in client.watch(job):
                        if isinstance(event, Progress):
                            self._progress[job] = event
            finally:
                self._progress.pop(job, None)

        threading.Thread(target=follow, name=f"console-{job}", daemon=True).start()

    def _vital_signs(self) -> Part:
        began_s = time.monotonic()
        if self._vital.is_due(began_s):
            home, connection = self._line.home, read_connection(self._line.home)
            memory = memory_mb(connection.pid if connection else 0)
            self._vitals = {
                "version": connection.engine if connection else "",
                "pid": connection.pid if connection else None,
                "state_folder": str(home.state),
                "roots": list(connection.roots) if connection else [],
                "memory_mb": {str(pid): round(mb) for pid, mb in memory.items()},
                "spool_mb": round(folder_bytes(home.state / "spool") / 1e6, 1),
            }
            self._vital.looked(began_s, time.monotonic())
        return self._vitals


def _rounded_ms(seconds: float) -> float:
    """Rounded up to 1, 2, 5, 10, ..., so that the figure does not change with every poll."""
    steps = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
    return next((step for step in steps if 1000 * seconds <= step), 5000)


def _pieces(message: Part) -> Iterator[Part]:
    """A message, split so that each part holds at most JOBS_A_MESSAGE jobs."""
    jobs = message.get("jobs", [])
    yield message | {"jobs": jobs[:JOBS_A_MESSAGE]}
    for first in range(JOBS_A_MESSAGE, len(jobs), JOBS_A_MESSAGE):
        yield {"jobs": jobs[first : first + JOBS_A_MESSAGE]}


def _event(message: Part) -> bytes:
    return b"data: " + encoded(message) + b"\n\n"
