"""One mail made readable: its HTML, its text with links, its headers."""

import re
from email.message import Message
from email.parser import BytesParser

from markupsafe import Markup, escape

_LINK = re.compile(r"https?://[^\s<>\"]+")
_HEAD = re.compile(r"<head\b[^>]*>", re.IGNORECASE)
_OPEN_OUTSIDE = '<base target="_blank">'


class Readable:
    """A message's parts, whatever state they are in."""

    def __init__(self, content: bytes) -> None:
        self.parsed = BytesParser().parsebytes(content)
        head = re.split(rb"\r?\n\r?\n", content, maxsplit=1)[0]
        self.headers = head.decode("utf-8", "replace").replace("\r\n", "\n")

    def part(self, kind: str) -> str | None:
        """Return the first part of a type that is not an attachment, decoded, or None."""
        for part in self.parsed.walk():
            if part.get_content_type() == kind and part.get_content_disposition() != "attachment":
                return _text(part)
        return None

    @property
    def html(self) -> str | None:
        """Return the HTML part, its links opening in a window of their own (it is shown in a frame)."""
        html = self.part("text/html")
        if html is None:
            return None
        head = _HEAD.search(html)
        at = head.end() if head else 0
        return html[:at] + _OPEN_OUTSIDE + html[at:]

    @property
    def text(self) -> Markup | None:
        """Return the text part with its links made clickable."""
        text = self.part("text/plain")
        return None if text is None else linked(text.replace("\r\n", "\n"))


def _text(part: Message) -> str:
    raw = part.get_payload(decode=True)
    if not isinstance(raw, bytes):
        return ""
    try:
        return raw.decode(part.get_content_charset() or "utf-8", "replace")
    except LookupError:
        return raw.decode("utf-8", "replace")


def linked(text: str) -> Markup:
    """Return text as HTML with its web addresses as links."""
    pieces, end = [], 0
    for found in _LINK.finditer(text):
        address = found[0].rstrip(".,;:!?)'")
        start, stop = found.start(), found.start() + len(address)
        link = Markup('<a href="{0}" target="_blank" rel="noopener noreferrer">{0}</a>').format(address)
        pieces += [escape(text[end:start]), link]
        end = stop
    return Markup("").join([*pieces, escape(text[end:])])
