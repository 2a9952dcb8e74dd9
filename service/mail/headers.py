"""Header fields: encoded-words (RFC 2047), folded at white space only (RFC 5322 §2.2.3), in our own hand."""

import base64
import re
import string
from collections.abc import Callable, Iterable, Iterator

from service.mail import clean

_LINE = 76
_WORD = 64
"""Characters in an encoded-word, so that the longest field name before it fits the line as well."""
_OVERHEAD = len("=?utf-8?q??=")
_ATOMS = re.compile(r"[\w!#$%&'*+/=?^`{|}~ -]+", re.ASCII)
_SPECIAL, _ESCAPED = re.compile(r'(["\\])'), r"\\\1"
_ADDRESS = re.compile(r"[^\s<>()\[\],;:\\\"@\x00-\x1f\x7f]+@[A-Za-z0-9.-]+")
_IN_Q = set(string.ascii_letters + string.digits + "!*+-/")


def field(name: str, words: Iterable[str]) -> str:
    """Return a header field with its CRLF, folded between words."""
    made, width = f"{name}:", len(name) + 1
    for number, word in enumerate(words):
        if number and width + 1 + len(word) > _LINE:
            made, width = f"{made}\r\n", 0
        made, width = f"{made} {word}", width + 1 + len(word)
    return f"{made}\r\n"


def text(value: str) -> list[str]:
    """Return the words of unstructured text."""
    words = clean.line(value).split(" ")
    fits = value.isascii() and "=?" not in value and max(map(len, words)) <= _WORD
    return words if fits else list(_encoded_words(clean.line(value)))


def phrase(value: str) -> list[str]:
    """Return the words of a display name; encoded-words stay outside quotes, where alone they can be read."""
    found = " ".join(clean.line(value).split())
    if found.isascii() and "=?" not in found and len(found) <= _WORD:
        return found.split(" ") if _ATOMS.fullmatch(found) else [f'"{_SPECIAL.sub(_ESCAPED, found)}"']
    return list(_encoded_words(found))


def address(value: str) -> str:
    """Return an address as it is; raise ValueError for what would break a header."""
    if not _ADDRESS.fullmatch(value):
        raise ValueError("not an address that a header can carry")
    return value


def _encoded_words(value: str) -> Iterator[str]:
    """Use Q, which a person can read, but for text that has little ASCII."""
    if sum(len(_q(char)) for char in value) <= 2 * len(value):
        for part in _chunks(value, lambda char: len(_q(char)), _WORD - _OVERHEAD):
            yield f"=?utf-8?q?{''.join(map(_q, part))}?="
    else:
        for part in _chunks(value, lambda char: len(char.encode()), (_WORD - _OVERHEAD) * 3 // 4):
            yield f"=?utf-8?b?{base64.b64encode(part.encode()).decode()}?="


def _chunks(value: str, size: Callable[[str], int], room: int) -> Iterator[str]:
    """Cut between characters, never inside one (RFC 2047 §5)."""
    part, width = "", 0
    for char in value:
        if width + size(char) > room:
            yield part
            part, width = "", 0
        part, width = part + char, width + size(char)
    yield part


def _q(char: str) -> str:
    if char == " ":
        return "_"
    return char if char in _IN_Q else "".join(f"={byte:02X}" for byte in char.encode())
