"""Ports: whether we may listen on them, asked before anything starts."""

import errno
import socket
import time
from threading import Event

from service.cli.vardir import Refused

PATIENCE = 5.0
"""Seconds to wait for the ports of an `up` that was killed a moment ago."""


def check(wanted: dict[str, tuple[str, int]], *, patient: bool) -> None:
    """Refuse to start where a wanted port (setting's name → host, port) is in use, or wanted twice."""
    seen: dict[int, str] = {}
    for name, (host, port) in wanted.items():
        if port in seen:
            raise Refused(f"UTSKICK_{name} and UTSKICK_{seen[port]} are both {port}")
        seen[port] = name
        _check(name, host, port, time.monotonic() + (PATIENCE if patient else 0))


def _check(name: str, host: str, port: int, until: float) -> None:
    while (error := _try(host, port)) is not None:
        if error.errno != errno.EADDRINUSE:
            raise Refused(f"UTSKICK_{name}: cannot listen on {host} port {port} ({error.strerror or error})")
        if time.monotonic() > until:
            raise Refused(f"port {port} on {host} is in use; set UTSKICK_{name} to another")
        Event().wait(0.1)


def _try(host: str, port: int) -> OSError | None:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, _, _, where = found[0]
        with socket.socket(family, kind) as tried:
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            tried.bind(where)
            tried.listen(1)
    except OSError as error:
        return error
    return None
