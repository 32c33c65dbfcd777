"""One connection to an engine: a DEALER socket, the thread that owns it, and the callers that wait for
messages.

Callers put frames into an outbox and wake the thread through a socket pair; the thread hands arriving
messages to the callers that wait for them. A link is never reused: when the peer goes, all waiting callers
are told, and a new link is made.
"""

from __future__ import annotations

import math
import os
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TypeAlias

import zmq

from bridge.client.outbox import Outbox
from bridge.client.replies import Accepts, LinkLost, NoAnswer, NotUnderstood, Replies, Reply
from bridge.client.sign_of_life import WATCH_S, SignOfLife
from bridge.wire.curve_keys import KeyPair
from bridge.wire.frames import decode, encode
from bridge.wire.messages import Closing, EngineMessage, Error, Message, Ping
from presets.errors import EngineError, WireError, error_class
from presets.limits import CHUNK_BYTES

Kinds: TypeAlias = tuple[type[Message], ...]

EVENT = struct.Struct("=H")
"""The start of a monitor message (zmq_socket_monitor); pyzmq's own parser would load asyncio."""
DRAINED_MAX = 64
"""Messages read in a row, so that a peer that never stops sending holds up neither sending nor closing."""
LINGER_MS = 500
"""How long a closing link still tries to deliver sent messages."""
QUEUE_MESSAGES = 16
"""Messages that libzmq queues in each direction, each at most 1 MiB."""


class Link:
    """A connection that is up or lost for good.

    Args:
        endpoint: `ipc://...` or `tcp://...`.
        server_key: the engine's CURVE key, and `keys` the client's own; both for tcp only.
    """

    def __init__(self, endpoint: str, server_key: str = "", keys: KeyPair | None = None) -> None:
        self.endpoint = endpoint
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._outbox = Outbox()
        self._expected: list[tuple[Accepts, Replies]] = []
        self._open: dict[str, list[tuple[Kinds, Replies]]] = {}
        self._lost: LinkLost | None = None
        self._closing = False
        self._sign_of_life = SignOfLife(self._ping, self.drop)
        self._bell, self._ear = socket.socketpair()
        self._bell.setblocking(False)
        self._context = zmq.Context()
        try:
            dealer = _dealer(self._context, server_key, keys)
            monitor = dealer.get_monitor_socket(
                zmq.EVENT_DISCONNECTED | zmq.EVENT_CLOSED | zmq.EVENT_HANDSHAKE_FAILED_AUTH
                | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
            )  # fmt: skip
            dealer.connect(endpoint)
        except zmq.ZMQError as error:
            self._context.destroy(linger=0)
            self._bell.close()
            self._ear.close()
            raise EngineError(f"{endpoint}: {error.strerror}") from None
        self._thread = threading.Thread(
            target=self._run, args=(dealer, monitor), name="airband-link", daemon=True
        )
        self._thread.start()

    @property
    def up(self) -> bool:
        """False once the peer is gone."""
        return self._lost is None

    def send(self, message: Message, buffer: memoryview | None = None, timeout_s: float = math.inf) -> None:
        """Sends a message that needs no answer.

        Args:
            message, buffer: what to send; with a buffer, the call waits until the outbox has room.
            timeout_s: how long to wait for room, that is, how long the engine may read nothing.

        Raises:
            LinkLost: the link broke, or the engine read nothing.
        """
        if buffer is not None and not self._outbox.wait_for_room(timeout_s):
            self.drop("it reads nothing of what it is sent")
        self._post(message, buffer, None)

    def request(self, message: Message, accepts: Accepts, timeout_s: float) -> EngineMessage:
        """Sends a message and waits for its answer: the next message that `accepts` takes, or an error.

        The engine answers in order, so an answer goes to the first caller that waits for such a message.

        Raises:
            AirbandError: the error that the engine reports; EngineError if it does not answer within
                `timeout_s`.
            LinkLost: the link broke, or the engine is closing.
        """
        replies = Replies()
        self._post(message, None, (accepts, replies))
        try:
            answer, _ = replies.get(time.monotonic() + timeout_s)
        except NoAnswer:
            self.drop("it did not answer")
            raise EngineError(
                f"the engine at {self.endpoint} did not answer within {timeout_s:g} s; "
                "look at it with `airband doctor`, or stop it with `airband stop`"
            ) from None
        if isinstance(answer, Error):
            raise error_class(answer.code)(answer.message, answer.field)
        if isinstance(answer, Closing):
            raise LinkLost(f"the engine is closing: {answer.reason}")
        return answer

    @contextmanager
    def open(self, job: str, *kinds: type[Message]) -> Iterator[Replies]:
        """Collects all messages of the given kinds about a job, until the end of the block."""
        replies = Replies()
        opened = (kinds, replies)
        with self._lock:
            if self._lost:
                raise type(self._lost)(*self._lost.args)
            self._open.setdefault(job, []).append(opened)
        try:
            yield replies
        finally:
            with self._lock:
                self._open[job].remove(opened)
                if not self._open[job]:
                    del self._open[job]

    def drop(self, reason: str, kind: type[LinkLost] = LinkLost) -> None:
        """Declares the link lost, and tells every present and future waiter."""
        with self._lock:
            if self._lost is None:
                self._lost = kind(f"lost the engine at {self.endpoint}: {reason}")
            waiting = [replies for _, replies in self._expected]
            waiting += [replies for boxes in self._open.values() for _, replies in boxes]
            self._expected.clear()
        self._outbox.end()
        for replies in waiting:
            replies.end(self._lost)
        self._wake()

    def close(self) -> None:
        """Delivers sent messages, then ends the thread; does nothing in a forked child."""
        if self._pid != os.getpid():
            return
        self._closing = True
        self._wake()
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def _post(
        self, message: Message, buffer: memoryview | None, expects: tuple[Accepts, Replies] | None
    ) -> None:
        frames, nbytes = encode(message, buffer), 0 if buffer is None else buffer.nbytes
        with self._lock:
            if self._lost:
                raise type(self._lost)(*self._lost.args)
            self._outbox.put(frames, nbytes)
            if expects:
                self._expected.append(expects)
        self._wake()

    def _wake(self) -> None:
        with suppress(OSError):  # full: the thread is awake; closed: it has ended
            self._bell.send(b"!")

    def _run(self, dealer: zmq.Socket[bytes], monitor: zmq.Socket[bytes]) -> None:
        poller = zmq.Poller()
        poller.register(self._ear, zmq.POLLIN)
        poller.register(monitor, zmq.POLLIN)
        try:
            while not self._closing and self._lost is None:
                poller.register(dealer, zmq.POLLIN | (zmq.POLLOUT if self._outbox else 0))
                ready = dict(poller.poll(int(1000 * WATCH_S)))
                if self._ear.fileno() in ready:
                    self._ear.recv(4096)
                self._flush(dealer)
                self._drain(dealer)
                if monitor in ready:
                    (event,) = EVENT.unpack_from(monitor.recv_multipart()[0])
                    while self._drain(dealer):  # messages that arrived before the peer went
                        pass
                    self.drop(_REASONS.get(event, "the connection broke"))
                self._sign_of_life.look(bool(self._expected or self._open))
            self._flush(dealer)
        finally:
            self.drop("it was closed")
            dealer.disable_monitor()
            dealer.close(linger=LINGER_MS if self._closing else 0)
            self._context.destroy(linger=0)
            self._bell.close()
            self._ear.close()

    def _ping(self) -> None:
        with suppress(LinkLost):
            self._post(Ping(), None, None)

    def _flush(self, dealer: zmq.Socket[bytes]) -> None:
        with suppress(zmq.Again):
            self._outbox.flush(lambda frames: dealer.send_multipart(frames, zmq.DONTWAIT, copy=False))

    def _drain(self, dealer: zmq.Socket[bytes]) -> bool:
        """Hands out what has arrived, up to DRAINED_MAX messages; True if there may be more."""
        with suppress(zmq.Again):
            for _ in range(DRAINED_MAX):
                frames = dealer.recv_multipart(zmq.DONTWAIT, copy=False)
                buffers = [frame.buffer for frame in frames]
                self._sign_of_life.heard()
                try:
                    self._deliver(decode(buffers, "engine"), sum(map(len, buffers)))
                except WireError as error:
                    self.drop(f"it said something that is not protocol 1: {error.message}", NotUnderstood)
            return True
        return False

    def _deliver(self, reply: Reply, nbytes: int) -> None:
        message, _ = reply
        job = getattr(message, "job", None)
        if isinstance(message, Error) and job is None and message.code == WireError.code:
            self.drop(f"it does not understand this client: {message.message}", NotUnderstood)
            return
        with self._lock:
            if isinstance(message, Closing):
                waiting = [replies for _, replies in self._expected]
                self._expected.clear()
            else:
                opened = self._open.get(job or "", ())
                waiting = [replies for kinds, replies in opened if isinstance(message, kinds)]
                for place, (accepts, replies) in enumerate(self._expected):
                    if accepts(message):
                        waiting.append(replies)
                        del self._expected[place]
                        break
        for replies in waiting:
            replies.put(reply, nbytes)


_REASONS: dict[int, str] = {
    zmq.EVENT_CLOSED: "nothing listens there",
    zmq.EVENT_DISCONNECTED: "it went away",
    zmq.EVENT_HANDSHAKE_FAILED_AUTH: "it does not know this client's key; add it to the engine's allow-list",
}


def _dealer(
    context: zmq.Context[zmq.Socket[bytes]], server_key: str, keys: KeyPair | None
) -> zmq.Socket[bytes]:
    dealer = context.socket(zmq.DEALER)
    dealer.linger = 0
    dealer.maxmsgsize = CHUNK_BYTES
    dealer.rcvhwm = dealer.sndhwm = QUEUE_MESSAGES
    dealer.reconnect_ivl = -1  # a link lives once
    if keys is not None:
        dealer.curve_serverkey = server_key.encode()
        dealer.curve_publickey, dealer.curve_secretkey = keys.public.encode(), keys.secret.encode()
    return dealer
