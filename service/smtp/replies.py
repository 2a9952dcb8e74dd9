"""The relay's replies, out of bytes that come in any pieces (RFC 5321 §4.2)."""

import re
from functools import lru_cache
from typing import NamedTuple

LONGEST_LINE = 4096
LONGEST_REPLY = 200
"""Octets in a line, lines in a reply: a relay that says more says nothing that we want to hear."""

KEPT = 500
"""Characters of a relay's words that are kept."""

_LINE = re.compile(rb"([2-5][0-9]{2})(?:([ -])(.*))?", re.DOTALL)


class Nonsense(Exception):
    """What came is no SMTP."""


class Reply(NamedTuple):
    """A code, and the text of each line."""

    code: int
    lines: tuple[bytes, ...]

    @property
    def words(self) -> str:
        """The text in one line, short and printable."""
        return plain(b" ".join(self.lines))


class Replies:
    """Gathers replies from pieces."""

    def __init__(self) -> None:
        self.rest = b""
        self._code = 0
        self._lines: list[bytes] = []

    def feed(self, data: bytes) -> list[Reply]:
        """Return the replies that are whole by now; raise Nonsense where it is no SMTP."""
        *lines, self.rest = (self.rest + data).split(b"\n")
        if len(self.rest) > LONGEST_LINE:
            raise Nonsense("the relay sends a line without an end")
        return [reply for reply in map(self._line, lines) if reply]

    def _line(self, line: bytes) -> Reply | None:
        reply, more = _read(line)
        if not (more or self._lines):
            return reply
        if self._lines and (reply.code != self._code or len(self._lines) >= LONGEST_REPLY):
            raise Nonsense(f"the relay speaks no SMTP: {plain(line)}")
        self._code = reply.code
        self._lines += reply.lines
        if more:
            return None
        lines, self._lines = self._lines, []
        return Reply(self._code, tuple(lines))


@lru_cache(maxsize=64)  # a relay says the same few lines for every mail
def _read(line: bytes) -> tuple[Reply, bool]:
    """Return a line as a reply, and whether others follow that belong to it."""
    found = _LINE.fullmatch(line.removesuffix(b"\r"))
    if found is None:
        raise Nonsense(f"the relay speaks no SMTP: {plain(line)}")
    return Reply(int(found[1]), (found[3] or b"",)), found[2] == b"-"


def plain(words: bytes) -> str:
    """Return what a relay said as one short printable line."""
    shown = words.decode("utf-8", "replace")
    if not shown.isprintable():
        shown = "".join(char if char.isprintable() else " " for char in shown)
    return " ".join(shown.split())[:KEPT]
