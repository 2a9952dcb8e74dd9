"""The courier: messages in, answers out; the only user of the wire.

One thread drives all connections by a selector, so that a slow one stalls none of the others.
"""

import selectors
import socket
import ssl
from contextlib import suppress
from time import monotonic
from types import TracebackType
from typing import Protocol, Self

from service.smtp import dialogue
from service.smtp.answers import Answer, Envelope
from service.smtp.dialogue import Dialogue
from service.smtp.pace import Pace
from service.smtp.relay import Relay
from service.smtp.wire import Place, Wire

LOOK = 0.25
"""Seconds after which time-outs are looked at, whatever comes."""

PULLS = 1024
"""Wakings heard at a time."""

WARY = 300.0
"""Seconds for which a relay that ended over pipelined commands is spoken to one command at a time."""

_wary: dict[Relay, float] = {}


class Post(dialogue.Post, Protocol):
    """Whoever has mail to send. `waiting`: how many mails `next` might give."""

    @property
    def waiting(self) -> int:
        """Return how many mails wait for a connection."""


class NoPost:
    """Nobody who has mail to send."""

    waiting = 0

    def next(self) -> Envelope | None:
        """Return no mail."""
        return None

    def may_begin(self, envelope: Envelope) -> bool:  # noqa: ARG002 - there is none
        """Let nothing go."""
        return False

    def answered(self, envelope: Envelope, answer: Answer) -> None:
        """Hear nothing: there was no mail."""


class Courier:
    """A few kept-open connections to the relay, opened when there is mail. Use it in a `with` block.

    Tell it whom to `serve`, then call `turn` again and again. `away`, once it is not empty, says why not one connection
    can be had. Every mail that was taken gets its answer, at the latest as the block ends.
    """

    def __init__(self, relay: Relay, pace: Pace, tls: ssl.SSLContext | None = None, *, ahead: bool = True) -> None:
        """`ahead`: have a connection's next envelope behind the final dot, where the relay offers PIPELINING."""
        self.relay, self.pace, self.ahead = relay, pace, ahead
        self.away = ""
        self._post: Post = NoPost()
        self._given = tls
        self._wires: dict[Wire, int] = {}
        self._idle: set[Wire] = set()
        self._places: list[Place] = []
        self._looked_at = monotonic()
        self._selector = selectors.DefaultSelector()
        self._bell, self._rope = socket.socketpair()
        self._bell.setblocking(False)
        self._rope.setblocking(False)
        self._selector.register(self._bell, selectors.EVENT_READ)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for wire in list(self._wires):
            if kind is None:
                wire.dialogue.part()
                wire.push()
            self._part(wire)
        self._selector.close()
        self._bell.close()
        self._rope.close()

    def serve(self, post: Post) -> None:
        """Take mail from here from now on; none is on its way."""
        self._post = post
        for wire in self._wires:
            wire.dialogue.post = post

    def turn(self, timeout: float) -> None:
        """Take and send what can be taken and sent; wait at most so many seconds for it."""
        self._match_pace()
        for wire in list(self._idle):
            wire.dialogue.fill()
            wire.push()
            self._see_to(wire)
        for key, ready in self._selector.select(min(timeout, LOOK)):
            wire = key.data
            if wire is None:
                self._bell.recv(PULLS)
                continue
            wire.move(readable=bool(ready & selectors.EVENT_READ))
            self._see_to(wire)
        if monotonic() > self._looked_at + LOOK:
            self._look()

    def wake(self) -> None:
        """End a `turn` that waits; any thread may call it."""
        with suppress(BlockingIOError):  # it has been woken often enough
            self._rope.send(b".")

    def drain(self) -> None:
        """Begin nothing more: only what is between its final dot and the reply is waited for."""
        for wire in list(self._wires):
            wire.dialogue.drain()
            self._see_to(wire)

    def _tls(self) -> ssl.SSLContext:
        self._given = self._given or ssl.create_default_context()
        return self._given

    def _match_pace(self) -> None:
        """Open what is wanted and allowed, retire what is not allowed any more."""
        if len(self._wires) > self.pace.connections:
            for wire in list(self._wires)[self.pace.connections :]:
                wire.dialogue.retire()
                wire.push()
                self._see_to(wire)
        idle = len(self._idle)
        while len(self._wires) < self.pace.connections and not self.away and idle < self._post.waiting:
            if self._wires and not self._ready:  # the first one tells whether the relay is there
                return
            idle += 1
            self._open()

    @property
    def _ready(self) -> bool:
        return any(wire.dialogue.ready for wire in self._wires)

    def _open(self) -> None:
        try:
            self._places = self._places or self._look_up()
            pipelined = monotonic() > _wary.get(self.relay, 0)
            talk = Dialogue(self.relay, self._post, pipelined=pipelined, ahead=self.ahead)
            wire = Wire(talk, self.relay, self._tls, self._places[0])
        except (OSError, UnicodeError) as error:
            self._failed(str(getattr(error, "strerror", "") or error))
            return
        self._wires[wire] = selectors.EVENT_WRITE
        self._idle.add(wire)
        self._selector.register(wire.socket, selectors.EVENT_WRITE, wire)

    def _look_up(self) -> list[Place]:
        found = socket.getaddrinfo(self.relay.host, self.relay.port, type=socket.SOCK_STREAM)
        return [(family, (str(address[0]), int(address[1]))) for family, _, _, _, address in found]

    def _see_to(self, wire: Wire) -> None:
        """Wait for what a connection waits for, or take leave of one that is over."""
        if wire.over:
            self._part(wire)
            self._learn(wire.dialogue)
            return
        if wire.dialogue.busy:
            self._idle.discard(wire)
        else:
            self._idle.add(wire)
        wants = selectors.EVENT_READ | (selectors.EVENT_WRITE if wire.wants_to_write else 0)
        if self._wires[wire] != wants:
            self._wires[wire] = wants
            self._selector.modify(wire.socket, wants, wire)

    def _learn(self, ended: Dialogue) -> None:
        """Judge by a connection that has ended whether another is worth trying."""
        if ended.suspect:
            _wary[self.relay] = monotonic() + WARY
        elif ended.trouble:
            self._failed(ended.trouble)
        elif ended.fruitless:
            self.pace.in_vain += 1
            if not self._wires or self.pace.in_vain > self.pace.connections:
                self.away = ended.fruitless

    def _failed(self, words: str) -> None:
        """Make do with the connections that there are, or try the host's next address; else the relay is away."""
        if self._ready:
            self.pace.crowded(len(self._wires))
        elif len(self._places) > 1:
            self._places.pop(0)
        else:
            self._places = []
            self.away = words

    def _look(self) -> None:
        self._looked_at = monotonic()
        for wire in list(self._wires):
            wire.expire()
            self._see_to(wire)

    def _part(self, wire: Wire) -> None:
        self._selector.unregister(wire.socket)
        del self._wires[wire]
        self._idle.discard(wire)
        wire.close()
