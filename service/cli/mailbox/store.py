"""The newest mails, on disk: one file each, its first line the envelope, then the message's very bytes."""

import json
import os
from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime
from email.header import decode_header, make_header
from email.parser import BytesHeaderParser
from functools import cached_property
from pathlib import Path

KEEP = 500
SUFFIX = ".mail"


@dataclass(frozen=True)
class Mail:
    """One mail that came in; its content stays on disk."""

    id: int
    path: Path
    sender: str
    to: str
    received: datetime

    def content(self) -> bytes:
        """Return the message as it came in; raise OSError once it has been removed."""
        return self.path.read_bytes().partition(b"\n")[2]

    @cached_property
    def subject(self) -> str:
        """Return the decoded subject."""
        try:
            raw = self.path.read_bytes().partition(b"\n")[2]
        except OSError:
            return ""
        headers = BytesHeaderParser().parsebytes(raw).raw_items()
        return decoded(next((str(value) for name, value in headers if name.lower() == "subject"), ""))


def decoded(raw: str) -> str:
    """Return a header's text, its encoded-words and raw UTF-8 (RFC 6532) decoded where that can be done."""
    unfolded = " ".join(raw.encode("ascii", "surrogateescape").decode("utf-8", "replace").split())
    try:
        return str(make_header(decode_header(unfolded)))
    except (LookupError, ValueError):
        return unfolded


class Store:
    """Keeps the newest mails; the directory is listed once, at the start."""

    def __init__(self, folder: Path, keep: int = KEEP) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.folder = folder
        self.keep = keep
        self.mails: deque[Mail] = deque()
        for unready in folder.glob(f"*{SUFFIX}.new"):
            unready.unlink(missing_ok=True)
        for path in sorted(folder.glob(f"*{SUFFIX}")):
            self._take_up(path)
        self._forget_old()

    def _take_up(self, path: Path) -> None:
        try:
            with path.open("rb") as file:
                told = json.loads(file.readline())
            received = datetime.fromisoformat(told["received"])
            self.mails.append(Mail(int(path.stem), path, str(told["from"]), str(told["to"]), received))
        except (OSError, ValueError, KeyError, TypeError):
            path.unlink(missing_ok=True)

    def _forget_old(self) -> None:
        while len(self.mails) > self.keep:
            self.mails.popleft().path.unlink(missing_ok=True)

    def add(self, sender: str, to: str, content: bytes) -> Mail:
        """Keep a mail, whole or not at all, and forget the oldest one; raise OSError."""
        number = self.mails[-1].id + 1 if self.mails else 1
        mail = Mail(number, self.folder / f"{number:012d}{SUFFIX}", sender, to, datetime.now(UTC))
        told = {"from": sender, "to": to, "received": mail.received.isoformat()}
        unready = mail.path.with_name(mail.path.name + ".new")
        with os.fdopen(os.open(unready, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(json.dumps(told).encode() + b"\n" + content)
        unready.rename(mail.path)
        self.mails.append(mail)
        self._forget_old()
        return mail

    def newest(self, limit: int, before: int | None = None) -> list[Mail]:
        """Return mails, newest first, those before an id if one is given."""
        found: list[Mail] = []
        for mail in reversed(self.mails):
            if len(found) == limit:
                break
            if before is None or mail.id < before:
                found.append(mail)
        return found

    def get(self, number: int) -> Mail | None:
        """Return a mail that is still kept, or None."""
        if not self.mails or not self.mails[0].id <= number <= self.mails[-1].id:
            return None
        return next((mail for mail in self.mails if mail.id == number), None)
