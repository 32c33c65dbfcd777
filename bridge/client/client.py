"""Client: hands clips to an engine and brings back the results.

Jobs belong to the engine. When a connection breaks, the client makes it again, continues uploads at the
engine's offset and repeats unanswered requests. All methods may be called from any thread.
"""

from __future__ import annotations

import math
import time
import weakref
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Self

from bridge.client.job import Event
from bridge.client.reconnect import Reconnecting
from bridge.client.renderer import Renderer, checked_priority
from bridge.client.replies import Accepts, LinkLost, NoAnswer, answers
from bridge.client.request import job_id
from bridge.client.transactions import fetch, upload, watch
from bridge.wire.home import find_home
from bridge.wire.messages import (
    FINAL,
    Accepted,
    Cancel,
    EngineMessage,
    Error,
    Forget,
    JobStatus,
    Listing,
    Message,
    Model,
    Ping,
    Pong,
    Prioritise,
    State,
    Status,
    Stem,
    Submit,
)
from bridge.wire.messages import Jobs as ListJobs
from bridge.wire.transfer import Bytes, CheckedReceiver, Sender
from presets.errors import AirbandError, BusyError, EngineError

TIMEOUT_S = 30.0
"""How long an engine may take to answer a message, or to come back, in seconds."""
BUSY_LEAST_S, BUSY_PAUSE_S = 0.05, 0.25
"""How long to wait before asking a busy engine again, in seconds: at least the first; the second is doubled
each time, up to the engine's own `retry_s`."""


class Client(Renderer):
    """A connection to an engine, as a context manager; made by `connect`.

    Args:
        line: the connection to the engine, which is made again when it breaks.
        local: whether the engine sees the caller's files.
        timeout_s: how long the engine may take to answer.
    """

    def __init__(self, line: Reconnecting, local: bool, timeout_s: float) -> None:
        self._line = line
        self._timeout_s = timeout_s
        self.local = local
        self._finalizer = weakref.finalize(self, line.close)
        line.link()

    @classmethod
    def connect(
        cls,
        endpoint: str | None = None,
        *,
        state: Path | str | None = None,
        start: bool = True,
        server_key: str = "",
        timeout_s: float = TIMEOUT_S,
    ) -> Self:
        """Finds an engine or starts one, and connects to it.

        Args:
            endpoint: an engine to use in place of the user's own: `ipc://PATH` or `tcp://HOST:PORT`.
            state: the state folder whose engine to use; it also holds the client's keys.
            start: start an engine when none runs; it exits after 15 minutes without work.
            server_key: the CURVE key of an engine at a tcp endpoint, 40 characters.
            timeout_s: how long the engine may take to answer, or to come back when it was lost.

        Raises:
            EngineError: no engine runs and `start` is off, it could not be started, or it does not answer.
            VersionError: it speaks another protocol.
        """
        home = find_home(None if state is None else Path(state))
        local = endpoint is None or endpoint.startswith("ipc://")
        return cls(Reconnecting(home, endpoint, server_key, start, timeout_s), local, timeout_s)

    @property
    def models(self) -> tuple[Model, ...]:
        """The engine's models, as listed when the connection was made."""
        welcome = self._line.welcome
        return welcome.models if welcome else ()

    @property
    def presets(self) -> tuple[str, ...]:
        """The presets the engine knows."""
        welcome = self._line.welcome
        return welcome.presets if welcome else ()

    def watch(self, job: str, timeout_s: float | None = None) -> Iterator[Event]:
        """The events of a job; see `bridge.client.renderer.Renderer.watch`."""
        deadline_s = math.inf if timeout_s is None else time.monotonic() + timeout_s
        try:
            yield from self._line.stream(
                lambda link: watch(link, job, deadline_s, self._timeout_s), deadline_s=deadline_s
            )
        except NoAnswer:
            raise EngineError(
                f"job {job} has not ended after {timeout_s:g} s; it goes on: wait again, or cancel it"
            ) from None

    def fetch(self, job: str, stem: Stem) -> Iterator[memoryview]:
        """A finished stem in pieces; see `bridge.client.renderer.Renderer.fetch`."""
        receiver = CheckedReceiver(stem.nbytes)
        yield from self._line.stream(
            lambda link: fetch(link, job, stem.name, receiver, stem.digest, self._timeout_s)
        )

    def _listed(self, asked: ListJobs) -> tuple[JobStatus, ...]:
        return self._listing(asked, lambda message: isinstance(message, Listing | Error))

    def status(self, job: str) -> JobStatus:
        """The status of one job; UsageError if the engine does not know it."""

        def accepts(message: EngineMessage) -> bool:
            return isinstance(message, Listing) or (isinstance(message, Error) and message.job == job)

        return self._listing(Status(job_id(job)), accepts)[0]

    def cancel(self, job: str) -> State:
        """Cancels a job unless it has ended; returns its state."""
        return self._ended(Cancel(job_id(job)), job)

    def forget(self, job: str) -> None:
        """Drops an ended job and its result from the engine."""
        self._ended(Forget(job_id(job)), job)

    def prioritise(self, job: str, priority: int) -> State:
        """Gives an unfinished job another priority, -9 to 9; returns its state.

        Raises:
            UsageError: the job has ended or does not exist, or the priority is out of range.
        """
        asked = Prioritise(job_id(job), checked_priority(priority))
        answer = self._ask(asked, answers(job, Accepted))
        assert isinstance(answer, Accepted)
        return answer.state

    def ping(self) -> float:
        """Seconds the engine takes to answer."""
        began_s = time.monotonic()
        self._ask(Ping(began_s), lambda message: isinstance(message, Pong) and message.t == began_s)
        return time.monotonic() - began_s

    def close(self) -> None:
        """Ends the connection; jobs go on. Closing twice does no harm."""
        self._finalizer()

    def _ask(self, message: Message, accepts: Accepts) -> EngineMessage:
        return self._line.retry(lambda link: link.request(message, accepts, self._timeout_s))

    def _listing(self, message: Message, accepts: Accepts) -> tuple[JobStatus, ...]:
        answer = self._ask(message, accepts)
        assert isinstance(answer, Listing)
        return answer.jobs

    def _ended(self, message: Message, job: str) -> State:
        about = answers(job, Accepted)

        def accepts(answer: EngineMessage) -> bool:
            return about(answer) and not (isinstance(answer, Accepted) and answer.state not in FINAL)

        answer = self._ask(message, accepts)
        assert isinstance(answer, Accepted)
        return answer.state

    def _hand_over(self, submit: Submit, source: Bytes | None, *, is_new: bool) -> None:
        sender = None if source is None else Sender(source)
        try:
            self._submit(submit, sender)
        except BaseException:
            if is_new:  # nobody else knows the job's name, so nobody could resume it
                self._abandon(submit.job)
            raise

    def _submit(self, submit: Submit, sender: Sender | None) -> None:
        """Submits until the engine accepts; asks a busy engine again for up to `timeout_s`."""
        deadline_s = time.monotonic() + self._timeout_s
        pause_s = BUSY_PAUSE_S
        while True:
            try:
                return self._line.retry(lambda link: upload(link, submit, sender, self._timeout_s))
            except BusyError as busy:
                left_s = deadline_s - time.monotonic()
                if left_s <= 0:
                    raise
                time.sleep(min(pause_s, max(busy.retry_s, BUSY_LEAST_S), left_s))
            pause_s *= 2

    def _abandon(self, job: str) -> None:
        link = self._line.live
        if link is not None:
            with suppress(AirbandError, LinkLost):
                link.request(Cancel(job), answers(job, Accepted), timeout_s=1.0)
