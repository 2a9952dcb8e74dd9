"""Quoted-printable (RFC 2045 §6.7) that never breaks a placeholder."""

import re
from collections.abc import Iterator
from functools import lru_cache

from service import tokens

LEAVE = "\x1a" * tokens.LEAVE_LENGTH
"""Stands for the leave token, as wide as it: control characters, of which clean text has none."""

_WIDTH = 76
_ATOM = re.compile(rf"{LEAVE}|[ \t]\Z|From(?= )|.", re.DOTALL)


def encode(text: str) -> bytes:
    """Return text broken by LF as 7-bit lines of at most 76 octets, broken by CRLF."""
    return "".join(f"{part}\r\n" for line in text.split("\n") for part in _parts(line)).encode("ascii")


def _parts(line: str) -> Iterator[str]:
    made = ""
    for match in _ATOM.finditer(line):
        atom = match[0]
        encoded = _encoded(atom, at_end=match.end() == len(line))
        if len(made) + len(encoded) > _WIDTH - 1:
            yield f"{made}="
            made = ""
        if not made and atom in (".", "From"):  # nothing on the way may stuff a dot or quote a "From "
            encoded = f"={ord(atom[0]):02X}{atom[1:]}"
        made += encoded
    yield made


@lru_cache(maxsize=4096)
def _encoded(atom: str, *, at_end: bool) -> str:
    if atom in (LEAVE, "From") or (atom in " \t" and not at_end) or ("!" <= atom <= "~" and atom != "="):
        return atom
    return "".join(f"={byte:02X}" for byte in atom.encode())
