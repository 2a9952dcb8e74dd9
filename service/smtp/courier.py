"""The courier: messages in, outcomes out; the only user of the wire."""

import selectors
import socket
import ssl
from collections.abc import Callable
from functools import cached_property
from time import monotonic
from types import TracebackType
from typing import Self

from service.smtp.answers import Answer, Envelope, RelayAway
from service.smtp.relay import Relay
from service.smtp.wire import Place, Wire

LOOK = 0.25
"""Seconds after which time-outs are looked at, whatever comes."""

WARY = 300.0
"""Seconds for which a relay that ended over pipelined commands is spoken to one command at a time."""

_wary: dict[Relay, float] = {}


class Courier:
    """One kept-open connection to the relay, opened with the first mail. Use it in a `with` block."""

    def __init__(self, relay: Relay, tls: ssl.SSLContext | None = None) -> None:
        self.relay, self._given = relay, tls
        self._wire: Wire | None = None
        self._waiting: Envelope | None = None
        self._fence: Callable[[], bool] = lambda: True
        self._answer: Answer | None = None
        self._places: list[Place] = []
        self._selector = selectors.DefaultSelector()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._wire is not None and kind is None:
            self._wire.dialogue.part()
            self._wire.push()
        self._part()
        self._selector.close()

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        return self._given or ssl.create_default_context()

    def send(self, envelope: Envelope, fence: Callable[[], bool]) -> Answer:
        """Hand one mail over. `fence` is asked last, just before the message is sent: False means NotBegun."""
        self._waiting, self._fence, self._answer = envelope, fence, None
        while self._answer is None:
            self._turn()
        return self._answer

    def next(self) -> Envelope | None:
        """Give the mail that waits, once."""
        found, self._waiting = self._waiting, None
        return found

    def may_begin(self, envelope: Envelope) -> bool:  # noqa: ARG002 - there is only one
        """Ask the fence."""
        return self._fence()

    def answered(self, envelope: Envelope, answer: Answer) -> None:  # noqa: ARG002
        """Keep the answer."""
        self._answer = answer

    def _turn(self) -> None:
        """Go on with the connection by what comes next, opening one where there is none."""
        if self._wire is None:
            self._open()
        wire = self._wire
        if wire is None:
            return
        wire.dialogue.fill()
        wire.push()
        if not wire.over and self._answer is None:
            wants = selectors.EVENT_READ | (selectors.EVENT_WRITE if wire.wants_to_write else 0)
            self._selector.modify(wire.socket, wants)
            for _, ready in self._selector.select(LOOK):
                wire.move(readable=bool(ready & selectors.EVENT_READ))
            wire.expire()
        if wire.over:
            trouble = wire.dialogue.trouble
            if wire.dialogue.suspect:
                _wary[self.relay] = monotonic() + WARY
            self._part()
            if trouble and not self._places and self._answer is None:
                self._away(trouble)

    def _open(self) -> None:
        try:
            self._places = self._places or self._look_up()
            pipelined = monotonic() > _wary.get(self.relay, 0)
            self._wire = Wire(self.relay, self, self._tls, self._places.pop(0), pipelined=pipelined)
        except (OSError, UnicodeError) as error:
            self._away(str(getattr(error, "strerror", "") or error))
            return
        self._selector.register(self._wire.socket, selectors.EVENT_WRITE)

    def _look_up(self) -> list[Place]:
        found = socket.getaddrinfo(self.relay.host, self.relay.port, type=socket.SOCK_STREAM)
        return [(family, (str(address[0]), int(address[1]))) for family, _, _, _, address in found]

    def _away(self, words: str) -> None:
        self._waiting = None
        self._answer = RelayAway(words)

    def _part(self) -> None:
        if self._wire is not None:
            self._selector.unregister(self._wire.socket)
            self._wire.close()
        self._wire = None
