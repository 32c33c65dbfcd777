"""The engine's process: one ROUTER, one thread, one loop; no torch.

The loop polls the socket, the workers' pipes and a wake-up socket for signals. It never blocks on a client:
what a client does not take stays in its session. SIGTERM or SIGINT drains (running jobs finish, queued ones
wait for the next engine), a second one aborts.
"""

from __future__ import annotations

import logging
import signal
import socket as sockets
import time
from types import FrameType

import zmq

from bridge.wire.frames import decode, encode
from bridge.wire.messages import (
    VERSION,
    Bye,
    ClientMessage,
    Closing,
    EngineMessage,
    Error,
    Hello,
    Limits,
    Model,
    Welcome,
)
from bridge.wire.ulid import new_ulid
from engine.serving.curve_auth import CurveAuth
from engine.serving.jobs import Jobs
from engine.serving.retention import apply_retention
from engine.serving.session import Session
from engine.serving.spool import Spool
from engine.serving.store import Store
from engine.serving.worker_pool import WorkerPool
from presets import names
from presets.errors import EngineError, VersionError, WireError, error_class
from presets.limits import CHUNK_BYTES
from presets.version import VERSION as SOFTWARE

SESSIONS_MAX = 1024
"""Clients remembered at a time; beyond it the one that was silent longest is let go."""
MESSAGES_PER_TURN = 64
"""Client messages handled before the workers get their turn."""
POLL_S, BACKLOG_POLL_S = 1.0, 0.002
RETENTION_S = 60.0
FAREWELL_S = 2.0
"""How long a leaving engine goes on sending what its clients have not taken yet."""
START_FAILURES_MAX = 2
"""Workers that may die before the first one gets ready."""

log = logging.getLogger("airband.engine")


class Server:
    """The loop of one engine.

    Args:
        socket: a ROUTER, bound; `router` makes one.
        store, spool: the jobs and files of the state folder.
        pool: the worker processes.
        auth: decides about CURVE keys, when the socket is on tcp.
        idle_exit_s: leave after so many seconds without work or word; None stays.
    """

    def __init__(
        self,
        socket: zmq.Socket[bytes],
        store: Store,
        spool: Spool,
        pool: WorkerPool,
        auth: CurveAuth | None = None,
        idle_exit_s: float | None = None,
    ) -> None:
        self._socket, self._pool, self._auth = socket, pool, auth
        self._store, self._spool = store, spool
        self._jobs = Jobs(store, spool, pool.workers, self._tell)
        self._idle_exit_s = idle_exit_s
        self._sessions: dict[bytes, Session] = {}
        self._last_word_s = self._retained_s = time.monotonic()
        self._signals = 0
        self._woken, self._wake = sockets.socketpair()
        for end in (self._woken, self._wake):
            end.setblocking(False)

    def _tell(self, job: str, message: EngineMessage) -> None:
        """News of a job, for the sessions that watch it."""
        for session in self._sessions.values():
            session.tell(job, message)

    def wait_ready(self) -> None:
        """Starts the workers and waits until one can take a job.

        Raises:
            AirbandError: one cannot run at all, and says why.
            EngineError: they die before they get there.
        """
        while not any(worker.ready for worker in self._pool) and not self._signals:
            self._turn(serve_clients=False)
            for unfit in filter(None, (worker.unfit for worker in self._pool)):
                raise error_class(unfit.code)(unfit.message, unfit.field)
            if all(worker.failures >= START_FAILURES_MAX for worker in self._pool):
                devices = ", ".join(worker.device for worker in self._pool)
                raise EngineError(f"the worker for {devices} does not start; what it said stands above")

    def run(self) -> None:
        """Serves until told to leave; returns with nothing running, or after a second signal."""
        while not self._over():
            self._turn(serve_clients=True)
        deadline_s = time.monotonic() + FAREWELL_S
        while self._signals < 2 and self._flush() and time.monotonic() < deadline_s:
            time.sleep(BACKLOG_POLL_S)

    def handle_signals(self) -> None:
        """Makes SIGTERM and SIGINT drain this server. For the main thread."""
        signal.set_wakeup_fd(self._wake.fileno(), warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._signalled)

    def close(self) -> None:
        """Closes everything but the socket; unfinished jobs go on in the next engine."""
        self._jobs.close()
        signal.set_wakeup_fd(-1)
        self._woken.close()
        self._wake.close()

    def _signalled(self, number: int, frame: FrameType | None) -> None:
        self._signals += 1

    def _over(self) -> bool:
        if self._signals and not self._jobs.closing:
            self._jobs.closing = True
            log.info("draining: running jobs finish, queued ones wait for the next engine")
            for session in self._sessions.values():
                session.post(Closing("the engine was told to leave; queued jobs go on when it starts again"))
        if self._jobs.closing:
            return self._signals > 1 or not self._jobs.running
        quiet_s = time.monotonic() - self._last_word_s
        if self._idle_exit_s is None or not self._jobs.idle or quiet_s < self._idle_exit_s:
            return False
        for session in self._sessions.values():
            session.post(Closing(f"the engine was idle for {self._idle_exit_s:g} s"))
        return True

    def _turn(self, serve_clients: bool) -> None:
        if not self._jobs.closing:
            self._pool.start_due()
        self._jobs.dispatch()
        backlog = self._flush()
        poller = zmq.Poller()
        poller.register(self._woken, zmq.POLLIN)
        pipes = {worker.pipe.fileno(): worker for worker in self._pool if worker.pipe is not None}
        for pipe in pipes:
            poller.register(pipe, zmq.POLLIN)
        if serve_clients:
            poller.register(self._socket, zmq.POLLIN)
        if self._auth is not None:
            poller.register(self._auth.socket, zmq.POLLIN)
        ready = dict(poller.poll(int(1000 * (BACKLOG_POLL_S if backlog else self._pause_s()))))
        if self._woken.fileno() in ready:
            self._woken.recv(4096)
        if self._auth is not None and self._auth.socket in ready:
            self._auth.answer()
        for pipe in ready.keys() & pipes.keys():
            worker = pipes[pipe]
            self._jobs.handle_worker(worker.device, worker.receive())
            self._last_word_s = time.monotonic()
        if self._socket in ready:
            self._listen()
        if time.monotonic() - self._retained_s > RETENTION_S:
            self._retained_s = time.monotonic()
            apply_retention(self._jobs, self._store, self._spool)

    def _pause_s(self) -> float:
        restarting = any(worker.pipe is None for worker in self._pool)
        return min(POLL_S, 0.1 if restarting else POLL_S, self._idle_exit_s or POLL_S)

    def _listen(self) -> None:
        for _ in range(MESSAGES_PER_TURN):
            try:
                route, *frames = self._socket.recv_multipart(zmq.DONTWAIT, copy=False)
            except zmq.Again:
                return
            self._last_word_s = time.monotonic()
            try:
                message, buffer = decode([frame.buffer for frame in frames], "client")
                self._receive(route.bytes, message, buffer)
            except (WireError, VersionError) as error:
                self._refuse(route.bytes, Error(error.code, error.message, None, error.field))

    def _receive(self, route: bytes, message: ClientMessage, buffer: memoryview | None) -> None:
        if isinstance(message, Hello):
            self._welcome(route, message)
            return
        session = self._sessions.pop(route, None)
        if session is None:
            raise WireError("say hello first: this connection has no session, or lost it by silence")
        if isinstance(message, Bye):
            return
        self._sessions[route] = session  # at the end: the first is the one silent longest
        session.receive(message, buffer)

    def _welcome(self, route: bytes, hello: Hello) -> None:
        if hello.v != VERSION:
            raise VersionError(
                f"this engine ({SOFTWARE}) speaks protocol {VERSION}, the client {hello.v}; "
                "run both from one installation (`airband stop` ends this engine)",
                "v",
            )
        name = hello.session or new_ulid()
        for old in [old for old, session in self._sessions.items() if session.name == name]:
            del self._sessions[old]
        while len(self._sessions) >= SESSIONS_MAX:
            del self._sessions[next(iter(self._sessions))]
        session = self._sessions[route] = Session(name, self._jobs)
        session.post(Welcome(VERSION, SOFTWARE, name, Limits(), self._models(), names()))

    def _models(self) -> tuple[Model, ...]:
        models: dict[str, Model] = {}
        for worker in self._pool:
            for model in worker.ready.models if worker.ready else ():
                if model.ready or model.name not in models:
                    models[model.name] = model
        return tuple(models.values())

    def _flush(self) -> bool:
        """Sends what clients take; True while something is left."""
        backlog = False
        for route, session in list(self._sessions.items()):
            for _ in range(MESSAGES_PER_TURN):
                if (frames := session.peek()) is None:
                    break
                try:
                    self._socket.send_multipart([route, *frames], zmq.DONTWAIT, copy=False)
                except zmq.Again:
                    break
                except zmq.ZMQError as error:
                    if error.errno != zmq.EHOSTUNREACH:
                        raise
                    del self._sessions[route]
                    break
                session.sent()
            if session.overrun:
                self._sessions.pop(route, None)
            backlog = backlog or session.peek() is not None
        return backlog

    def _refuse(self, route: bytes, error: Error) -> None:
        session = self._sessions.get(route)
        if session is not None:
            session.post(error)
            return
        try:
            self._socket.send_multipart([route, *encode(error)], zmq.DONTWAIT)
        except zmq.ZMQError as error:
            if error.errno not in (zmq.EAGAIN, zmq.EHOSTUNREACH):
                raise


def router(context: zmq.Context[zmq.Socket[bytes]]) -> zmq.Socket[bytes]:
    """A ROUTER that tells when a peer is gone or slow, and takes no frame beyond the protocol's limits."""
    socket = context.socket(zmq.ROUTER)
    socket.router_mandatory = True
    socket.linger = int(1000 * FAREWELL_S)
    socket.maxmsgsize = CHUNK_BYTES
    socket.sndhwm = socket.rcvhwm = 64
    socket.heartbeat_ivl, socket.heartbeat_timeout = 10_000, 30_000
    return socket
