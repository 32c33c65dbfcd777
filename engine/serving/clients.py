"""The clients of an engine: their sessions, and the sending of their replies.

The engine never blocks on a client: replies that a client does not read wait in its session, within bounds.
"""

from __future__ import annotations

import logging

import zmq

from bridge.wire.frames import encode
from bridge.wire.messages import VERSION, Closing, EngineMessage, Error, Hello, Limits, Model, Welcome
from bridge.wire.ulid import new_ulid
from engine.serving.jobs import Jobs
from engine.serving.listener import Listener
from engine.serving.session import Session
from engine.state.store import Store
from presets import names
from presets.errors import BusyError, VersionError, WireError
from presets.limits import CHUNK_BYTES, CREDIT_BYTES
from presets.version import VERSION as SOFTWARE

SESSIONS_MAX = 1024
"""How many clients are remembered; beyond it, the one silent for longest is dropped."""
OUTBOXES_BYTES = 32 * 1024**2
"""Limit for all clients' waiting replies together; beyond it, the one with the largest outbox is dropped."""
PIECES_BYTES = 32 * 1024**2
"""Limit for stems that libzmq holds for all clients; for each, at most CREDIT_BYTES and at least a piece."""
REPLIES_PER_TURN, REPLIES_BYTES = 64, 4 * 1024**2
"""Limits for replies to one client before the next client's turn: their number, and their size."""

log = logging.getLogger("airband.engine")


class Clients:
    """All clients that have said hello, by their route.

    Args:
        listener: the socket they are connected to.
        store: some replies must wait until its changes are on disk.
    """

    def __init__(self, listener: Listener, store: Store) -> None:
        self._listener, self._store = listener, store
        self._sessions: dict[bytes, Session] = {}
        self._talks: dict[bytes, None] = {}
        """Clients for whom something may wait."""
        self._share_bytes = _share(1)
        """How many bytes of stems may be on their way to each client."""

    def __len__(self) -> int:
        """The number of clients."""
        return len(self._sessions)

    def __contains__(self, route: bytes) -> bool:
        """Whether this client has said hello and was not dropped since."""
        return route in self._sessions

    @property
    def outstanding(self) -> int:
        """How many bytes of stems may be on their way to all clients."""
        fetching = sum(session.fetches for session in self._sessions.values())
        return fetching * _share(fetching)

    def welcome(
        self, route: bytes, hello: Hello, owner: str | None, jobs: Jobs, models: tuple[Model, ...]
    ) -> None:
        """Begins a session, or resumes the one that `hello` names.

        Raises:
            VersionError: the client speaks another protocol.
            BusyError: there are SESSIONS_MAX sessions, and all of them watch jobs.
        """
        if hello.v != VERSION:
            raise VersionError(
                f"this engine ({SOFTWARE}) speaks protocol {VERSION}, the client {hello.v}; "
                "run both from one installation (`airband stop` ends this engine)",
                "v",
            )
        name = hello.session or new_ulid()
        for old, session in list(self._sessions.items()):
            if session.name == name and session.owner == owner:
                del self._sessions[old]
            elif session.name == name:
                name = new_ulid()
        if len(self._sessions) >= SESSIONS_MAX:
            silent = next((old for old, session in self._sessions.items() if not session.watches), None)
            if silent is None:
                raise BusyError(f"{SESSIONS_MAX} clients watch their jobs, the most this engine serves")
            del self._sessions[silent]
        session = self._sessions[route] = Session(name, jobs, owner)
        self._talks[route] = None
        session.post(Welcome(VERSION, SOFTWARE, name, Limits(), models, names()))

    def heard(self, route: bytes) -> Session:
        """The session of a client that has just sent something; WireError if it has none."""
        session = self._sessions.pop(route, None)
        if session is None:
            raise WireError("say hello first: this connection has no session, or lost it by silence")
        self._sessions[route] = session  # at the end: the first is the one silent for longest
        self._talks[route] = None
        return session

    def let_go(self, route: bytes) -> None:
        """Drops a client."""
        self._sessions.pop(route, None)

    def clear(self) -> None:
        """Drops all clients."""
        self._sessions.clear()

    def tell(self, job: str, message: EngineMessage) -> None:
        """Passes news of a job to the clients that watch or upload it."""
        for route, session in self._sessions.items():
            if job in session.watching or job in session.uploading:
                session.tell(job, message)
                self._talks[route] = None

    def close(self, reason: str) -> None:
        """Tells all clients that the engine is shutting down."""
        for route, session in self._sessions.items():
            session.post(Closing(reason))
            self._talks[route] = None

    def flush(self) -> bool:
        """Sends what clients accept; True while something is left."""
        backlog, talks = False, [route for route in self._talks if route in self._sessions]
        self._share_bytes = _share(sum(self._sessions[route].waits_for_pieces for route in talks))
        for route in talks:
            backlog = self.send(route) or backlog
        left = {route: self._sessions[route] for route in talks if route in self._sessions}
        waiting = {route: session.waiting_bytes for route, session in left.items() if session.has_news}
        self._talks = dict.fromkeys(waiting)
        while sum(waiting.values()) > OUTBOXES_BYTES:
            largest = max(waiting, key=waiting.__getitem__)
            del self._sessions[largest], waiting[largest]
        return backlog

    def send(self, route: bytes) -> bool:
        """Sends one client what it accepts of its replies; True while something is left that may be sent."""
        session, nbytes = self._sessions[route], 0
        for _ in range(REPLIES_PER_TURN):
            frames = session.peek(self._store.synced, self._share_bytes)
            if nbytes > REPLIES_BYTES or frames is None:
                break
            try:
                is_piece = len(frames) > 1
                tracker = self._listener.socket.send_multipart(
                    [route, *frames], zmq.DONTWAIT, copy=not is_piece, track=is_piece
                )
            except zmq.Again:
                break
            except zmq.ZMQError as error:
                if error.errno != zmq.EHOSTUNREACH:
                    log.error("a client cannot be answered and is dropped: %s", error)
                del self._sessions[route]
                return False
            session.sent(tracker)
            nbytes += sum(map(len, frames))
        if session.overrun:
            del self._sessions[route]
            return False
        return session.waits_for_pieces or session.peek(self._store.synced) is not None

    def refuse(self, route: bytes, error: Error) -> None:
        """Answers a message with an error, even if its sender has no session."""
        session = self._sessions.get(route)
        if session is not None:
            session.post(error)
            self._talks[route] = None
            return
        try:
            self._listener.socket.send_multipart([route, *encode(error)], zmq.DONTWAIT)
        except zmq.ZMQError as failed:
            if failed.errno not in (zmq.EAGAIN, zmq.EHOSTUNREACH):
                log.error("a stranger cannot be answered: %s", failed)


def _share(fetching: int) -> int:
    """How many bytes of stems may be on their way to each of so many clients."""
    return max(CHUNK_BYTES, min(CREDIT_BYTES, PIECES_BYTES // max(1, fetching)))
