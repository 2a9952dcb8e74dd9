"""A connection to the relay that never waits: a non-blocking socket, TLS over it, and the dialogue on top."""

import errno
import os
import socket
import ssl
from collections.abc import Callable
from time import monotonic

from service.smtp.dialogue import Dialogue
from service.smtp.relay import Relay

PIECE = 65536
"""Octets read at a time."""

UNDER_WAY = (0, errno.EINPROGRESS, errno.EWOULDBLOCK)

Place = tuple[int, tuple[str, int]]
"""Address family and address, as getaddrinfo gives them."""


class Wire:
    """One connection. Call `move` when its socket may be read or written, and `expire` now and then."""

    def __init__(self, dialogue: Dialogue, relay: Relay, tls: Callable[[], ssl.SSLContext], place: Place) -> None:
        self.dialogue, self.relay, self.tls = dialogue, relay, tls
        self.connected = False
        self._touched = monotonic()
        self._secure: ssl.SSLObject | None = None
        self._shaken = False
        self._coming, self._going = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._cipher = bytearray()
        self.socket = socket.socket(place[0], socket.SOCK_STREAM)
        self.socket.setblocking(False)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        failed = self.socket.connect_ex(place[1])
        if failed not in UNDER_WAY:
            self.dialogue.lost(os.strerror(failed))

    @property
    def over(self) -> bool:
        """Tell whether it is done with."""
        return self.dialogue.over

    @property
    def wants_to_write(self) -> bool:
        """Tell whether to wait until the socket may be written."""
        return not self.connected or bool(self._unsent)

    def close(self) -> None:
        """Close the socket; what was on its way gets its answer."""
        self.dialogue.lost("the connection was closed")
        self.socket.close()

    def expire(self) -> None:
        """End it where the relay has taken longer than it may."""
        if monotonic() - self._touched > min(self.dialogue.patience or self.relay.timeout, self.relay.timeout):
            self.dialogue.lost("no answer in time")

    def move(self, *, readable: bool) -> None:
        """Take what there is, send what may be sent."""
        try:
            if not self.connected:
                self._connected()
            if readable and not self.over:
                self._read()
            self._push()
        except OSError as error:
            self._lost(error)

    def push(self) -> None:
        """Send what the dialogue has to say, as far as the socket takes it."""
        try:
            self._push()
        except OSError as error:
            self._lost(error)

    def _lost(self, error: OSError) -> None:
        said = f"TLS: {error.reason or error}" if isinstance(error, ssl.SSLError) else error.strerror or str(error)
        self.dialogue.lost(said)

    def _push(self) -> None:
        if not self.connected or self.over:
            return
        if self._secure is not None:
            self._encrypt(self._secure)
        unsent = self._unsent
        while unsent:
            try:
                sent = self.socket.send(unsent)
            except BlockingIOError:
                return
            del unsent[:sent]
            self._touched = monotonic()

    @property
    def _unsent(self) -> bytearray:
        return self.dialogue.out if self._secure is None else self._cipher

    def _encrypt(self, secure: ssl.SSLObject) -> None:
        if self._shaken and self.dialogue.out:
            secure.write(self.dialogue.out)
            self.dialogue.out.clear()
        self._cipher += self._going.read()

    def _connected(self) -> None:
        failed = self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if failed:
            raise OSError(failed, os.strerror(failed))
        self.connected = True
        self._touched = monotonic()
        if self.relay.security == "smtps":
            self._begin_tls()

    def _begin_tls(self) -> None:
        self._secure = self.tls().wrap_bio(self._coming, self._going, server_hostname=self.relay.host)
        self._shake()

    def _shake(self) -> None:
        assert self._secure is not None  # noqa: S101 - TLS has begun
        try:
            self._secure.do_handshake()
        except ssl.SSLWantReadError:
            return
        finally:
            self._encrypt(self._secure)
        self._shaken = True
        if self.dialogue.wants_tls:
            self.dialogue.secured()

    def _read(self) -> None:
        while not self.over:
            try:
                data = self.socket.recv(PIECE)
            except BlockingIOError:
                return
            if not data:
                self.dialogue.lost("the relay closed the connection")
                return
            self._touched = monotonic()
            self._hear(data)
            if len(data) < PIECE:
                return

    def _hear(self, data: bytes) -> None:
        if self._secure is None:
            self.dialogue.receive(data)
            if self.dialogue.wants_tls and not self.over:
                self._begin_tls()
            return
        self._coming.write(data)
        if not self._shaken:
            self._shake()
        while self._shaken and not self.over:
            try:
                clear = self._secure.read(PIECE)
            except ssl.SSLWantReadError:
                return
            if not clear:
                self.dialogue.lost("the relay closed the connection")
                return
            self.dialogue.receive(clear)
