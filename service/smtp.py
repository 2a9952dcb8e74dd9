"""The courier: messages in, outcomes out; the only user of the wire.

A failure is a value. What happens before RCPT (connecting, TLS, AUTH, a MAIL put off) belongs to the
relay; a sender refused for good is that mail's own trouble, for now; from RCPT on it is the
recipient's; a connection that dies between the final dot and the reply leaves the mail uncertain
(RFC 5321 §4.2.5, RFC 1047).
"""

import smtplib
import ssl
from collections.abc import Callable
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Self
from urllib.parse import unquote, urlsplit

CLOSING = 421
TOO_LARGE = 552
LOGIN_WANTED = (530, 535, 538)
LONGEST_REPLY = 500


@dataclass(frozen=True)
class Envelope:
    """One mail for one recipient: addresses as MAIL and RCPT take them, and the bytes with CRLF line ends."""

    sender: str
    recipient: str
    content: bytes


@dataclass(frozen=True)
class Accepted:
    """The relay said 250 to the final dot."""

    code: int
    words: str


@dataclass(frozen=True)
class Refused:
    """The relay said no to this recipient or this message: for good, or for now."""

    permanent: bool
    code: int
    words: str


@dataclass(frozen=True)
class Uncertain:
    """The connection died between the final dot and the reply: the relay may have the mail."""

    words: str


@dataclass(frozen=True)
class RelayAway:
    """The relay cannot be used just now; no recipient is to blame. `on_wire`: a recipient had been named."""

    words: str
    on_wire: bool = False


@dataclass(frozen=True)
class NotBegun:
    """The fence was down before the final dot: nothing was sent."""


Outcome = Accepted | Refused | Uncertain
Answer = Outcome | RelayAway | NotBegun


class _Away(Exception):
    """Carries a RelayAway up from inside a dialogue."""


@dataclass(frozen=True)
class Relay:
    """Where the relay is and how to greet it."""

    host: str
    port: int
    security: str
    user: str
    password: str
    timeout: float
    helo: str


def relay_of(url: str, *, timeout: float, helo: str) -> Relay:
    """Return the relay of an SMTP_URL: smtp://, smtp+starttls:// or smtps://, with `user:password@` where it asks."""
    parts = urlsplit(url)
    default = {"smtp": 25, "smtp+starttls": 587, "smtps": 465}[parts.scheme]
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    return Relay(parts.hostname or "", parts.port or default, parts.scheme, user, password, timeout, helo)


class Courier:
    """One kept-open connection to the relay, opened with the first mail. Use it in a `with` block."""

    def __init__(self, relay: Relay, tls: ssl.SSLContext | None = None) -> None:
        self.relay = relay
        self.tls = tls
        self.wire: smtplib.SMTP | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._part(polite=kind is None)

    def send(self, envelope: Envelope, fence: Callable[[], bool]) -> Answer:
        """Hand one mail over. `fence` is asked last, just before the message is sent: False means NotBegun."""
        try:
            self._connect()
            too_large = self._mail(envelope)
        except _Away as away:
            self._part()
            return RelayAway(str(away))
        try:
            return too_large or self._recipient(envelope.recipient) or self._data(envelope.content, fence)
        except (OSError, smtplib.SMTPException) as error:
            self._part()
            return RelayAway(_say(error), on_wire=True)

    def _connect(self) -> None:
        if self.wire is not None:
            return
        try:
            self.wire = self._greet()
        except (OSError, smtplib.SMTPException, ValueError) as error:
            raise _Away(_say(error)) from None

    def _greet(self) -> smtplib.SMTP:
        relay = self.relay
        context = self.tls or ssl.create_default_context()
        wire: smtplib.SMTP
        if relay.security == "smtps":
            wire = smtplib.SMTP_SSL(
                relay.host, relay.port, local_hostname=relay.helo, timeout=relay.timeout, context=context
            )
        else:
            wire = smtplib.SMTP(relay.host, relay.port, relay.helo, relay.timeout)
        try:
            if relay.security == "smtp+starttls":
                wire.starttls(context=context)
            wire.ehlo_or_helo_if_needed()
            if relay.user:
                wire.login(relay.user, relay.password)
        except BaseException:
            wire.close()
            raise
        return wire

    def _mail(self, envelope: Envelope) -> Refused | None:
        assert self.wire is not None  # noqa: S101 - _connect came first
        options = [f"size={len(envelope.content)}"] if self.wire.has_extn("size") else []
        if not (envelope.sender + envelope.recipient).isascii() and self.wire.has_extn("smtputf8"):
            self.wire.command_encoding = "utf-8"
            options += ["SMTPUTF8", "BODY=8BITMIME"]
        elif not envelope.sender.isascii():
            raise _Away("the relay offers no SMTPUTF8, which the sender's address needs")
        try:
            code, words = self.wire.mail(envelope.sender, options)
        except (OSError, smtplib.SMTPException) as error:
            raise _Away(_say(error)) from None
        if code == TOO_LARGE:  # about this message (RFC 1870 §6.3)
            return self._refused(code, words)
        if code >= 500 and code not in LOGIN_WANTED:  # about this sender: other newsrooms' mail goes on
            return replace(self._refused(code, words), permanent=False)
        if code != 250:
            raise _Away(f"{code} {_text(words)}")
        return None

    def _recipient(self, recipient: str) -> Refused | RelayAway | None:
        assert self.wire is not None  # noqa: S101
        if not recipient.isascii() and not self.wire.has_extn("smtputf8"):
            self._reset()
            return Refused(True, 553, "5.6.7 The relay offers no SMTPUTF8, which this address needs")
        code, words = self.wire.rcpt(recipient)
        return None if code in (250, 251) else self._unwanted(code, words)

    def _data(self, content: bytes, fence: Callable[[], bool]) -> Answer:
        assert self.wire is not None  # noqa: S101
        code, words = self.wire.docmd("DATA")
        if code != 354:
            return self._unwanted(code, words)
        if not fence():
            self._part()  # 354 was said: only closing the connection takes it back
            return NotBegun()
        self.wire.send(dotted(content))
        try:
            code, words = self.wire.getreply()
        except (OSError, smtplib.SMTPException) as error:
            self._part()
            return Uncertain(_say(error))
        if 400 <= code < 600:
            return self._refused(code, words)
        if code // 100 == 2:
            return Accepted(code, _text(words))
        self._part()
        return Uncertain(f"{code} {_text(words)}")

    def _unwanted(self, code: int, words: bytes) -> Refused | RelayAway:
        """Judge a refusal before the message: 421 is said to everybody, not to this recipient (RFC 5321 §3.8)."""
        if code != CLOSING:
            return self._refused(code, words)
        self._part()
        return RelayAway(f"{code} {_text(words)}", on_wire=True)

    def _refused(self, code: int, words: bytes) -> Refused:
        """Judge a refusal and make the connection fit for the next mail (a new one after 421)."""
        if code == CLOSING or code < 400:
            self._part()
        else:
            self._reset()
        return Refused(500 <= code < 600, code, _text(words))

    def _reset(self) -> None:
        try:
            if self.wire is not None and self.wire.rset()[0] == 250:
                return
        except (OSError, smtplib.SMTPException):
            pass
        self._part()

    def _part(self, *, polite: bool = False) -> None:
        wire, self.wire = self.wire, None
        if wire is None:
            return
        try:
            if polite:
                wire.quit()
        except (OSError, smtplib.SMTPException):
            pass
        finally:
            wire.close()


def dotted(content: bytes) -> bytes:
    """Return the message as DATA sends it: dots stuffed, the final dot behind it (RFC 5321 §4.5.2)."""
    stuffed = content.replace(b"\r\n.", b"\r\n..")
    stuffed = b"." + stuffed if stuffed.startswith(b".") else stuffed
    return stuffed + (b"" if stuffed.endswith(b"\r\n") else b"\r\n") + b".\r\n"


def _text(words: bytes) -> str:
    shown = "".join(char if char.isprintable() else " " for char in words.decode("utf-8", "replace"))
    return " ".join(shown.split())[:LONGEST_REPLY]


def _say(error: Exception) -> str:
    if isinstance(error, smtplib.SMTPResponseException):
        raw = error.smtp_error
        return f"{error.smtp_code} {_text(raw if isinstance(raw, bytes) else raw.encode())}"
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return " ".join(str(error).split())[:LONGEST_REPLY] or type(error).__name__
