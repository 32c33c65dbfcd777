"""The engine's process: one ROUTER, one thread, one loop; no torch.

The loop polls the socket, the workers' pipes, and a wake-up socket for signals. It reads ahead of its work:
cheap messages are answered at once, the others in turn, one message of each client. It never blocks on a
client: replies that a client does not read stay in its session. Any failure caused by a message, job, record
    or file becomes one
error, and the loop goes on. SIGTERM or SIGINT drains (running jobs finish, queued ones wait for the next
engine); a second signal aborts.
"""

from __future__ import annotations

import logging
import signal
import socket as sockets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

import zmq

from bridge.wire.frames import decode
from bridge.wire.messages import Bye, Hello, Model, Ping
from engine.serving.clients import Clients
from engine.serving.figures import Figures, figures
from engine.serving.jobs import Jobs
from engine.serving.listener import Asked, Inbox, Listener
from engine.serving.memory import MemoryBudget
from engine.serving.retention import Retention
from engine.serving.session import error_message
from engine.serving.worker_messages import Beat
from engine.serving.worker_pool import Worker, WorkerPool
from engine.state.spool import Spool
from engine.state.store import Store
from engine.state.syncer import Syncer
from presets.errors import AirbandError, EngineError, WireError, error_class

LISTEN_S = 0.002
"""How long clients are served before the workers get their turn, in seconds."""
HEARD_AT_ONCE = 64
"""Messages read, at about 0.05 ms each, before the next waiting one is handled."""
HEARD_OF_WORKER = 8
"""Messages read from one worker per turn."""
POLL_S, BACKLOG_POLL_S = 0.1, 0.002
"""The longest sleeps of the loop."""
GLANCE_S = 0.04
"""How often a sleeping loop checks memory, in seconds. A message without an end does not wake it, and brings
1 GB/s over ipc."""
WATCH_S = 0.5
"""How often the engine checks its workers, its socket and its connection file, in seconds."""
FAREWELL_S = 2.0
"""How long an engine that shuts down still tries to send waiting replies, in seconds."""
START_FAILURES_MAX = 2
"""How many workers may die before the first one gets ready."""

log = logging.getLogger("airband.engine")


class Server:
    """The loop of one engine.

    Args:
        listener: the socket that clients connect to.
        store, spool: the jobs and files of the state folder.
        pool: the worker processes.
        announce: writes the connection file; called again whenever that file or the socket's is gone.
        asked_to_stop: how urgently it is asked to stop without a signal; see `bridge.wire.stop_request`.
        idle_exit_s: exit after so many seconds without work or messages; None never does.
    """

    def __init__(
        self,
        listener: Listener,
        store: Store,
        spool: Spool,
        pool: WorkerPool,
        announce: Callable[[], None],
        asked_to_stop: Callable[[], int],
        idle_exit_s: float | None = None,
    ) -> None:
        self._listener, self._pool, self._announce = listener, pool, announce
        self._asked_to_stop = asked_to_stop
        self._woken, self._wake = sockets.socketpair()
        for end in (self._woken, self._wake):
            end.setblocking(False)
        self._store, self._spool, self._syncer = store, spool, Syncer(store, spool, self._wake_up)
        self._clients = Clients(listener, store)
        self._jobs = Jobs(store, spool, pool.workers, self._clients.tell, self._wake_up)
        self._retention = Retention(self._jobs, store, spool)
        self._memory = MemoryBudget()
        self._idle_exit_s = idle_exit_s
        self._inbox = Inbox()
        self._last_word_s = self._watched_s = time.monotonic()
        self._signals = 0

    def _wake_up(self) -> None:
        """Ends the loop's sleep; safe from any thread."""
        with suppress(OSError):  # full: it is awake; closed: it has ended
            self._wake.send(b"!")

    def wait_ready(self) -> None:
        """Starts the workers, and waits until one can take a job.

        Raises:
            AirbandError: a worker cannot run at all, for the reason given.
            EngineError: the workers die before they are ready.
        """
        while not any(worker.ready for worker in self._pool) and not self._signals:
            self._turn(serve_clients=False)
            for unfit in filter(None, (worker.unfit for worker in self._pool)):
                raise error_class(unfit.code)(unfit.message, unfit.field)
            if all(worker.failures >= START_FAILURES_MAX for worker in self._pool.needed):
                devices = ", ".join(worker.device for worker in self._pool.needed)
                raise EngineError(f"the worker for {devices} does not start; its output stands above")

    def run(self) -> None:
        """Serves until told to shut down; returns when nothing runs, or after a second signal."""
        self._announce()
        self._memory.begin()
        while not self._over():
            try:
                self._turn(serve_clients=True)
            except Exception:  # an unforeseen fault costs one turn, not the whole engine
                log.exception("a turn of the loop failed")
                time.sleep(BACKLOG_POLL_S)
        self._syncer.finish()
        deadline_s = time.monotonic() + FAREWELL_S
        while self._signals < 2 and self._clients.flush() and time.monotonic() < deadline_s:
            time.sleep(BACKLOG_POLL_S)

    def figures(self) -> Figures:
        """Its metrics; safe from any thread."""
        workers = sum(worker.ready is not None for worker in self._pool)
        return figures(self._jobs, self._store, self._spool, workers, len(self._clients))

    def handle_signals(self) -> None:
        """Makes SIGTERM, SIGINT and a closed terminal drain this server. For the main thread."""
        signal.set_wakeup_fd(self._wake.fileno(), warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._signalled)
        # Under nohup the signal is ignored, and stays so.
        if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:
            signal.signal(signal.SIGHUP, self._hung_up)

    def close(self) -> None:
        """Closes everything but the listener; the next engine continues unfinished jobs."""
        self._retention.close()
        self._jobs.close()
        self._syncer.close()
        signal.set_wakeup_fd(-1)
        self._woken.close()
        self._wake.close()

    def _signalled(self, number: int, frame: FrameType | None) -> None:
        self._signals += 1

    def _hung_up(self, number: int, frame: FrameType | None) -> None:
        self._signals = max(1, self._signals)  # both the shell and the system send it

    def _over(self) -> bool:
        if self._signals and not self._jobs.runs.closing:
            self._jobs.runs.closing = True
            log.info("draining: running jobs finish, queued ones wait for the next engine")
            self._clients.close("the engine was told to stop; queued jobs continue when it starts again")
        if self._jobs.runs.closing:
            return self._signals > 1 or not self._jobs.runs.running
        quiet_s = time.monotonic() - self._last_word_s
        if self._idle_exit_s is None or not self._jobs.runs.idle or quiet_s < self._idle_exit_s:
            return False
        self._clients.close(f"the engine was idle for {self._idle_exit_s:g} s")
        return True

    def _turn(self, serve_clients: bool) -> None:
        if not self._jobs.runs.closing:
            self._pool.start_due()
        self._jobs.dispatch()
        self._syncer.start_when_due()
        backlog = self._clients.flush()
        poller = zmq.Poller()
        poller.register(self._woken, zmq.POLLIN)
        pipes = {worker.pipe.fileno(): worker for worker in self._pool if worker.pipe is not None}
        for pipe in pipes:
            poller.register(pipe, zmq.POLLIN)
        if serve_clients:
            poller.register(self._listener.socket, zmq.POLLIN)
        door = self._listener.door
        for socket in door:
            poller.register(socket, zmq.POLLIN)
        ready = self._sleep(poller, 0.0 if self._inbox else BACKLOG_POLL_S if backlog else self._pause_s())
        if self._woken.fileno() in ready:
            self._woken.recv(4096)
        for socket in door.keys() & ready.keys():
            door[socket]()
        for pipe in pipes.keys() & ready.keys():
            self._hear(pipes[pipe])
        if self._listener.socket in ready or self._inbox:
            self._listen()
        if self._memory.is_exceeded(self._outstanding):
            log.warning("connections hold more memory than allowed; all are dropped and may reconnect")
            self._reopen()
        if time.monotonic() - self._watched_s > WATCH_S:
            self._watched_s = time.monotonic()
            self._look_after(serve_clients)

    def _pause_s(self) -> float:
        return min(POLL_S, self._idle_exit_s or POLL_S)

    def _sleep(self, poller: zmq.Poller, pause_s: float) -> dict[zmq.Socket[bytes] | int, int]:
        """Waits until something is ready and returns that; {} after `pause_s`, or once memory is exceeded."""
        until_s = time.monotonic() + pause_s
        while True:
            left_s = max(0.0, until_s - time.monotonic())
            ready = dict(poller.poll(int(1000 * min(left_s, GLANCE_S))))
            if ready or left_s <= GLANCE_S or self._memory.is_exceeded(self._outstanding):
                return ready

    def _hear(self, worker: Worker) -> None:
        """Handles a worker's messages: a short job sends two, and the next may already run."""
        for _ in range(HEARD_OF_WORKER):
            message = worker.receive()
            self._jobs.runs.handle_worker(worker.device, message)
            if not isinstance(message, Beat):
                self._last_word_s = time.monotonic()
            if worker.pipe is None or not worker.pipe.poll():
                return

    def _look_after(self, serve_clients: bool) -> None:
        """Regular checks: stuck workers, the socket's file, memory, and expired data."""
        for worker in self._pool:
            if worker.is_silent():
                log.error("the worker on %s gives no sign of life and is replaced", worker.device)
                worker.bury()
                self._jobs.runs.handle_worker(worker.device, None)
        if not serve_clients:
            return
        self._pool.fit(self._jobs.runs.small_waits)
        if not self._listener.is_reachable:
            log.warning("%s is gone; listening there again", self._listener.endpoint)
            self._reopen()
        try:
            self._announce()
        except AirbandError as error:  # no client can find this engine any more, and may start another
            log.error("%s; this engine exits", error.message)
            self._signals += 1
        self._signals = max(self._signals, self._asked_to_stop())
        self._retention.apply_when_due()

    def _outstanding(self) -> int:
        """Bytes of uploads and fetches in progress that may be in memory."""
        return self._jobs.outstanding + self._clients.outstanding

    def _reopen(self) -> None:
        self._clients.clear()
        self._inbox.clear()
        self._listener.reopen()

    def _listen(self) -> None:
        until_s = time.monotonic() + LISTEN_S
        while time.monotonic() < until_s:
            heard = 0
            while heard < HEARD_AT_ONCE and not self._inbox.is_full and self._hear_client():
                heard += 1
            if (asked := self._inbox.next()) is not None:
                with self._answering(asked.route):
                    self._receive(asked)
            elif not heard:
                return

    def _hear_client(self) -> bool:
        """Reads a message, if there is one; all except greetings and pings wait for their turn."""
        received = self._listener.receive()
        if received is None:
            return False
        self._last_word_s = time.monotonic()
        route, key, frames = received
        with self._answering(route):
            message, buffer = decode(frames, "client")
            asked = Asked(route, key, message, buffer, sum(map(len, frames)))
            if route in self._inbox or not isinstance(message, Hello | Ping):
                self._inbox.put(asked)
            else:
                self._receive(asked)
        return True

    @contextmanager
    def _answering(self, route: bytes) -> Iterator[None]:
        """Wraps the handling of a message: any error becomes its answer, and answers are sent at once."""
        try:
            yield
        except AirbandError as error:
            self._clients.refuse(route, error_message(error))
        except Exception as error:
            log.exception("a message could not be handled")
            self._clients.refuse(route, error_message(EngineError(f"the engine failed at this: {error}")))
        if route in self._clients:
            self._clients.send(route)

    def _receive(self, asked: Asked) -> None:
        auth, route, message = self._listener.auth, asked.route, asked.message
        if auth is not None and not auth.allows(asked.key):
            self._clients.let_go(route)
            raise WireError("this key is not on the allow-list any more")
        if isinstance(message, Hello):
            owner = None if auth is None else auth.owner(asked.key)
            self._clients.welcome(route, message, owner, self._jobs, self._models())
            return
        session = self._clients.heard(route)
        if isinstance(message, Bye):
            self._clients.let_go(route)
        else:
            session.receive(message, asked.buffer)

    def _models(self) -> tuple[Model, ...]:
        models: dict[str, Model] = {}
        for worker in self._pool:
            for model in worker.ready.models if worker.ready else ():
                if model.ready or model.name not in models:
                    models[model.name] = model
        return tuple(models.values())
