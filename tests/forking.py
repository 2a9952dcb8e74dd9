"""Python processes, forked from one that has imported what they need: each would take a second of CPU to begin with.

They are processes of their own, which can be stopped and killed: their environment, directory, output, session and
random numbers are theirs. What a process reads when it starts, it reads then, for importing alone reads no setting.
"""

import ctypes
import importlib
import io
import json
import os
import random
import runpy
import select
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import IO, Any

IMPORTED = (
    "service.cli.main",
    "service.web",
    "uvicorn.protocols.http.h11_impl",
    "celery.__main__",
    "celery.apps.beat",
    "celery.apps.worker",
    "celery.bin.beat",
    "celery.bin.worker",
    "celery.concurrency.solo",
    "celery.fixups.django",
    "celery.worker.components",
    "celery.worker.consumer",
    "celery.worker.strategy",
    "kombu.transport.pyamqp",
    "kombu.transport.redis",
    "sqlalchemy.dialects.postgresql.psycopg",
    "sqlalchemy.dialects.sqlite.pysqlite",
    "service.sending",
    "service.delivering",
    "service.folding",
)


class Forked:
    """A process that was forked, used like a subprocess.Popen."""

    def __init__(self, told: socket.socket) -> None:
        self._told = told.makefile("rb")
        self.pid = int(self._told.readline())
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Return the exit code, None while it runs."""
        with suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end; subprocess.TimeoutExpired where that does not come."""
        if self.returncode is None:
            if not select.select([self._told], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(str(self.pid), timeout or 0)
            self.returncode = int(self._told.readline() or -signal.SIGKILL)
            self._told.close()
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send it a signal while it runs."""
        if self.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self) -> None:
        """Kill it."""
        self.send_signal(signal.SIGKILL)


class Forge:
    """The process that has imported everything, from the outside. It ends when nobody can give it an order any more."""

    def __init__(self) -> None:
        self._door, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._one = Lock()
        command = [sys.executable, "-m", "tests.forking", str(theirs.fileno())]
        where = Path(__file__).parents[1]
        self._process = subprocess.Popen(command, pass_fds=[theirs.fileno()], cwd=where, start_new_session=True)
        theirs.close()

    def start(self, argv: list[str], cwd: Path, env: dict[str, str], *files: IO[Any] | int) -> Forked:
        """Start `python argv` with these as its standard input, output and errors."""
        order = json.dumps({"argv": argv, "cwd": str(cwd), "env": env}).encode()
        told, tells = socket.socketpair()
        numbers = [file if isinstance(file, int) else file.fileno() for file in files]
        with tells, self._one:
            socket.send_fds(self._door, [order], [*numbers, tells.fileno()])
        return Forked(told)


@lru_cache
def forge() -> Forge:
    """Return this process's forge."""
    return Forge()


def serve(door: socket.socket) -> None:
    """Fork a process for each order, until nobody is there to give one."""
    for name in IMPORTED:
        importlib.import_module(name)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        order, files, _, _ = socket.recv_fds(door, 1 << 18, 4)
        if not order:
            return None
        if os.fork() == 0:
            door.close()
            return _keep(json.loads(order), files)
        for file in files:
            os.close(file)


def _keep(order: dict[str, Any], files: list[int]) -> None:
    """Fork the process, wait for its end and tell of both: whoever asked for it is not its parent."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    _die_with_parent()
    *standard, tells = files
    pid = os.fork()
    if pid == 0:
        os.close(tells)
        return _become(order, standard)
    for file in standard:
        os.close(file)
    os.write(tells, f"{pid}\n".encode())
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    with suppress(OSError):  # nobody asks any more
        os.write(tells, f"{code}\n".encode())
    os._exit(0)


def _become(order: dict[str, Any], files: list[int]) -> None:
    os.setsid()
    _die_with_parent()
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    os.chdir(order["cwd"])
    os.environ.clear()
    os.environ.update(order["env"])
    time.tzset()
    random.seed()
    sys.stdin = io.TextIOWrapper(io.BufferedReader(io.FileIO(0)), "utf-8")
    sys.stdout, sys.stderr = (
        io.TextIOWrapper(io.FileIO(number, "w"), "utf-8", "backslashreplace", write_through=True) for number in (1, 2)
    )
    kind, what, *args = order["argv"]
    sys.argv = [kind, *args]
    if kind == "-c":
        exec(what, {"__name__": "__main__"})
    else:
        runpy.run_module(what, run_name="__main__", alter_sys=True)


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])))
