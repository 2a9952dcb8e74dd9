"""A message of bytes: compiled once with placeholders, joined for each recipient."""

import re
from dataclasses import dataclass
from datetime import datetime
from email.utils import format_datetime
from zoneinfo import ZoneInfo

from service import settings, tokens
from service.mail import clean, headers, quoted
from service.models import Newsroom

LEAVE_LINKS = 3
"""One in List-Unsubscribe, one in the text, one in the HTML."""

_ID, _TO = "\x1aid\x1a", "\x1ato\x1a"
_LEAVE = quoted.LEAVE.encode()
_PLACEHOLDER = re.compile(b"(" + b"|".join((_ID.encode(), _TO.encode(), _LEAVE)) + b")")
_BOUNDARY = "=_utskick"
"""Quoted-printable lines never have "=_" in them (RFC 2045 §6.7), so no text can look like it."""
_PUBLIC_ID = re.compile(r"[A-Za-z0-9_-]+")


class MessageError(ValueError):
    """A message that would not be what it should: never sent."""


@dataclass(frozen=True)
class Compiled:
    """Who sends a message (MAIL FROM) and its bytes."""

    sender: str
    content: bytes
    shortened: bool = False


def sender(newsroom: Newsroom) -> tuple[str, str]:
    """Return the name and the address that a newsroom's mail comes from."""
    name = clean.name(newsroom.sender_name, clean.name(newsroom.name, newsroom.slug))
    address = newsroom.sender_address or f"{newsroom.slug}@{settings.current().domain}"
    return name, headers.address(address)


def return_path(newsroom: Newsroom) -> str:
    """Return the address that a newsroom's failed mail goes back to."""
    return headers.address(newsroom.bounce_address or sender(newsroom)[1])


def opening(newsroom: Newsroom, subject: str, moment: datetime, language: str) -> list[str]:
    """Return the fields that every message has, with placeholders for its id and its recipient."""
    name, address = sender(newsroom)
    date = format_datetime(moment.astimezone(ZoneInfo(newsroom.timezone)))
    return [
        headers.field("From", [*headers.phrase(name), f"<{address}>"]),
        headers.field("To", [_TO]),
        headers.field("Subject", headers.text(subject)),
        headers.field("Date", [date]),
        headers.field("Message-ID", [f"<{_ID}@{settings.current().domain}>"]),
        headers.field("Content-Language", [language]),
    ]


def leaving(link: str) -> list[str]:
    """Return the two fields of RFC 8058, one address on one line whatever its length."""
    return [
        headers.field("List-Unsubscribe", [f"<{link}>"]),
        headers.field("List-Unsubscribe-Post", ["List-Unsubscribe=One-Click"]),
    ]


def compiled(fields: list[str], text: str, html: bytes) -> bytes:
    """Return the bytes of a message: fields, then text and (encoded) HTML as alternatives."""
    mime = [
        headers.field("MIME-Version", ["1.0"]),
        headers.field("Content-Type", ["multipart/alternative;", f'boundary="{_BOUNDARY}"']),
    ]
    head = "".join([*fields, *mime]).encode("ascii")
    closing = f"--{_BOUNDARY}--\r\n".encode()
    return b"\r\n".join([head, _part("plain", quoted.encode(text)) + _part("html", html) + closing])


def _part(subtype: str, content: bytes) -> bytes:
    fields = (
        f"--{_BOUNDARY}\r\n"
        f"Content-Type: text/{subtype}; charset=utf-8\r\n"
        "Content-Transfer-Encoding: quoted-printable\r\n\r\n"
    )
    return fields.encode() + content + b"\r\n"


def check(content: bytes, leave_links: int) -> bytes:
    """Return a compiled message; raise MessageError unless it has its placeholders and no others."""
    wanted = [(_ID.encode(), 1), (_TO.encode(), 1), (_LEAVE, leave_links)]
    stray = content.count(b"\x1a") - leave_links * len(_LEAVE) - 4
    if stray or any(content.count(mark) != times for mark, times in wanted):
        raise MessageError("the compiled message has too few or too many placeholders")
    return content


class Form:
    """A compiled message cut at its placeholders, so that a delivery's is joined without looking for them again."""

    def __init__(self, content: bytes, leave_links: int) -> None:
        """Cut it; raise MessageError unless it has its placeholders."""
        self._pieces = _PLACEHOLDER.split(check(content, leave_links))
        self._leave_links = leave_links
        self._to_first = self._pieces[1] == _TO.encode()

    def fill(self, *, address: str, public_id: str, leave_token: str) -> bytes:
        """Return one delivery's message; raise MessageError rather than make a wrong one."""
        if not tokens.is_leave_token(leave_token) or not _PUBLIC_ID.fullmatch(public_id):
            raise MessageError("the token or the id does not fit the message")
        to, its_id = headers.address(address).encode(), public_id.encode()
        own = (to, its_id) if self._to_first else (its_id, to)
        pieces = self._pieces.copy()
        pieces[1::2] = (*own, *(leave_token.encode(),) * self._leave_links)
        return b"".join(pieces)
