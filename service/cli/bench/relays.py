"""The relay's side: Postfix's smtp-sink where it is installed, our own sink else."""

import os
import re
import shutil
import socket
import sys
from abc import ABC, abstractmethod
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from service.cli.bench.process import Missing, Process, account, clean_environment

HOST = "127.0.0.1"
COUNTED = re.compile(rb"mesg=(\d+)")
LAST_WORDS = 200
"""Octets at the end of smtp-sink's output that hold its latest count."""


def free_port() -> int:
    """Return a loopback port that nobody listened on a moment ago."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def listens(port: int) -> bool:
    """Tell whether somebody takes connections on a loopback port."""
    with suppress(OSError), socket.create_connection((HOST, port), 1):
        return True
    return False


class Relay(ABC):
    """A sink as a process of its own."""

    label: str
    process: Process

    def __init__(self, port: int) -> None:
        self.port = port

    @property
    def url(self) -> str:
        """What goes into SMTP_URL."""
        return f"smtp://{HOST}:{self.port}"

    @abstractmethod
    def count(self) -> int:
        """Return how many mails it has taken."""

    def close(self) -> None:
        """End it."""
        self.process.end()


class Postfix(Relay):
    """Postfix's smtp-sink."""

    label = "Postfix's smtp-sink"

    def __init__(self, folder: Path) -> None:
        """Start it; raise Missing where it is not on this machine."""
        path = os.pathsep.join([os.defpath, "/usr/sbin", "/usr/local/sbin", "/usr/lib/postfix/sbin"])
        program = shutil.which("smtp-sink", path=path)
        if program is None:
            raise Missing("smtp-sink is not on this machine (Debian: postfix)")
        super().__init__(free_port())
        command = [program, "-c", f"inet:{HOST}:{self.port}", "1024"]
        # It refuses to run as root.
        self.process = Process("smtp-sink", command, folder, clean_environment(), cwd="/", **account("nobody"))
        self.process.until(lambda: listens(self.port))

    def count(self) -> int:
        """Return how many mails it has counted; it says so after each."""
        with self.process.log.open("rb") as said:
            said.seek(max(0, said.seek(0, os.SEEK_END) - LAST_WORDS))
            found = COUNTED.findall(said.read())
        return int(found[-1]) if found else 0


@dataclass(frozen=True)
class Taken:
    """A mail that the built-in sink took: when (Unix time), and for whom."""

    moment: float
    recipient: str


class BuiltIn(Relay):
    """Our own sink, which may wait before it answers."""

    label = "the built-in sink"

    def __init__(self, folder: Path, delay: float = 0.0) -> None:
        """Start it; `delay`: seconds before the answer to the final dot."""
        super().__init__(free_port())
        self.file = folder / "mails"
        self.file.touch()
        self._read, self._counted = 0, 0
        command = [sys.executable, "-m", "service.cli.bench.sink", "--port", str(self.port), "--log", str(self.file)]
        self.process = Process("sink", [*command, "--delay", str(delay)], folder, clean_environment())
        self.process.until(lambda: listens(self.port))

    def count(self) -> int:
        """Return how many mails are in its log, which is a moment behind."""
        with self.file.open("rb") as log:
            log.seek(self._read)
            while piece := log.read(1 << 20):
                self._counted += piece.count(b"\n")
                self._read += len(piece)
        return self._counted

    def taken(self) -> list[Taken]:
        """Return every mail in its log, oldest first."""
        lines = (line.split("\t") for line in self.file.read_text(encoding="utf-8").splitlines())
        return [Taken(float(moment), recipient) for moment, recipient in lines]


def relay(folder: Path, *, built_in: bool) -> Relay:
    """Start the sink that is there."""
    if not built_in:
        with suppress(Missing):
            return Postfix(folder)
    return BuiltIn(folder)
