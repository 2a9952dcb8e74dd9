"""What this process has handed over, kept where a killed process leaves it.

Outcomes go to the database in groups, so a process that is killed takes some with it. Its journal has them: a file of
its own in VAR_DIR/journal, one record before each final dot and one after each reply. The page cache outlives a
kill -9; records of 128 octets never straddle a page, so each is there whole or not at all. The file is held under an
flock for as long as its process lives: whoever gets the lock finds the work of a dead one. After a power cut it may
lack its last records; its name says in which boot of the machine it was written, so that nobody trusts it then.
"""

import errno
import fcntl
import os
import secrets
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from struct import Struct

from service.smtp import Accepted, Outcome, Refused, Uncertain

_RECORD = Struct("<IBBHqq104s")
"""Checksum of the rest, kind, length of the words, reply code, claim, delivery, words."""

_BODY = Struct("<BBHqq104s")
_WORDS = 104

_CLAIMED, _BEGUN, _ACCEPTED, _REFUSED, _PUT_OFF, _UNCERTAIN = range(1, 7)

Heard = dict[int, Outcome | None]
"""Deliveries whose content was sent, by id, and what the relay said to each: None where nothing was heard."""


@dataclass(frozen=True)
class Found:
    """What a journal says: its claims, and what became of their mails. `whole`: no record can be missing."""

    whole: bool
    claims: dict[int, Heard] = field(default_factory=dict)


class Journal:
    """The journal of one process. Errors are OSError: a disk that is full must stop the sending.

    `claims`: those noted in it.
    """

    def __init__(self, folder: Path) -> None:
        """Open a new one: locked before it gets its name, so that nobody takes it for a dead process's."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        made = folder / f"new-{secrets.token_hex(8)}"
        self._file = os.open(made, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_APPEND | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._file, fcntl.LOCK_EX)
        self._noted = b""
        self.claims: set[int] = set()
        self.path = made.rename(folder / f"{_boot()}.{os.getpid()}.{secrets.token_hex(4)}.journal")

    def claimed(self, claim_id: int) -> None:
        """Note a claim, before it is committed."""
        self._note(_CLAIMED, 0, claim_id, 0, "")
        self.write()
        self.claims.add(claim_id)

    def begun(self, claim_id: int, delivery_id: int) -> None:
        """Note that a mail's content is about to be sent; `write` it before that."""
        self._note(_BEGUN, 0, claim_id, delivery_id, "")

    def heard(self, claim_id: int, delivery_id: int, outcome: Outcome) -> None:
        """Note what the relay said to it; its words must name nobody."""
        match outcome:
            case Accepted(code, words):
                self._note(_ACCEPTED, code, claim_id, delivery_id, words)
            case Refused(permanent, code, words):
                self._note(_REFUSED if permanent else _PUT_OFF, code, claim_id, delivery_id, words)
            case Uncertain(words):
                self._note(_UNCERTAIN, 0, claim_id, delivery_id, words)

    def _note(self, kind: int, code: int, claim_id: int, delivery_id: int, words: str) -> None:
        told = words.encode()[:_WORDS] if words else b""
        body = _BODY.pack(kind, len(told), code, claim_id, delivery_id, told)
        self._noted += zlib.crc32(body).to_bytes(4, "little") + body

    def write(self) -> None:
        """Write what is noted: one call for a reply and what is begun behind it."""
        noted, self._noted = self._noted, b""
        if noted and os.write(self._file, noted) != len(noted):
            os.ftruncate(self._file, os.fstat(self._file).st_size // _RECORD.size * _RECORD.size)
            raise OSError(errno.ENOSPC, "the disk is full")

    def forget(self) -> None:
        """Begin anew: all that is noted has been committed."""
        self._noted = b""
        os.ftruncate(self._file, 0)
        self.claims.clear()

    def close(self, *, done: bool) -> None:
        """Let go of it; removed where all that it notes is `done`, else left as a dead process's is."""
        if done:
            self.path.unlink(missing_ok=True)
        else:
            with suppress(OSError):  # what was heard last
                self.write()
        os.close(self._file)


@contextmanager
def left_behind(path: Path) -> Iterator[Found | None]:
    """Hold a dead process's journal and read it; None where its process lives. Without an error it is removed."""
    file = _held(path)
    if file is None:
        yield None
        return
    try:
        yield _read(path)
        path.unlink()
    finally:
        os.close(file)


def _held(path: Path) -> int | None:
    """Lock a journal; None where its process, or another that cleans up, holds it."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(file)
        return None
    if os.fstat(file).st_nlink == 0:  # another got there first, and is done
        os.close(file)
        return None
    return file


def living(path: Path) -> Found:
    """Read the journal of a process that lives."""
    try:
        return _read(path)
    except FileNotFoundError:
        return Found(whole=False)


def all_of(folder: Path) -> list[Path]:
    """Return this machine's journals."""
    return sorted(folder.glob("*.journal"))


def _read(path: Path) -> Found:
    found = Found(whole=path.name.startswith(f"{_boot()}."))
    data = path.read_bytes()
    for start in range(0, len(data) - _RECORD.size + 1, _RECORD.size):
        checksum, kind, length, code, claim_id, delivery_id, words = _RECORD.unpack_from(data, start)
        if zlib.crc32(data[start + 4 : start + _RECORD.size]) != checksum:
            break
        told = words[:length].decode("utf-8", "ignore")
        heard = found.claims.setdefault(claim_id, {})
        if kind != _CLAIMED:
            heard[delivery_id] = _outcome(kind, code, told)
    return found


def _outcome(kind: int, code: int, words: str) -> Outcome | None:
    match kind:
        case _ if kind == _ACCEPTED:
            return Accepted(code, words)
        case _ if kind in (_REFUSED, _PUT_OFF):
            return Refused(kind == _REFUSED, code, words)
        case _ if kind == _UNCERTAIN:
            return Uncertain(words)
    return None


@lru_cache
def _boot() -> str:
    """Return what tells this boot of the machine from any other."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return "unknown"
