"""One child process: in a session of its own, gone when we are, its output read line by line."""

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import partial

PR_SET_PDEATHSIG = 1
LONGEST_LINE = 65536
CALM = {"PYTHONUNBUFFERED": "1", "PYTHONWARNINGS": "ignore:You're running the worker with superuser privileges"}
"""Their lines come at once; that root runs a worker is no news on one's own machine or in a container."""

_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None


def die_with(parent: int) -> None:
    """Ask the kernel to kill this process when its parent dies, however it dies."""
    if _LIBC is None:
        return
    _LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # the parent died before we had asked
        os._exit(1)


class Child:
    """One run of a command."""

    def __init__(self, command: Sequence[str]) -> None:
        self.popen = subprocess.Popen(  # noqa: S603 - our own Procfile
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=partial(die_with, os.getpid()),  # noqa: PLW1509 - this process has no threads
            env={**os.environ, **CALM},
        )
        assert self.popen.stdout is not None  # noqa: S101 - a pipe was asked for
        self.output = self.popen.stdout
        os.set_blocking(self.output.fileno(), False)
        self._rest = b""

    def lines(self) -> Iterator[str]:
        """Give what it has said since the last time, whole lines only, until it ends."""
        while True:
            try:
                found = os.read(self.output.fileno(), LONGEST_LINE)
            except BlockingIOError:
                return
            *lines, self._rest = (self._rest + found).split(b"\n")
            if self._rest and (not found or len(self._rest) > LONGEST_LINE):
                lines, self._rest = [*lines, self._rest], b""
            yield from (line.decode(errors="replace").rstrip() for line in lines)
            if not found:
                return

    @property
    def ended(self) -> bool:
        """Tell whether it is gone."""
        return self.popen.poll() is not None

    def why(self) -> str:
        """Say how it ended."""
        code = self.popen.returncode
        if code is None or code >= 0:
            return f"ended with exit code {code}"
        with suppress(ValueError):
            return f"was killed by {signal.Signals(-code).name}"
        return f"was killed by signal {-code}"

    def ask_to_stop(self) -> None:
        """Ask it to end softly."""
        if not self.ended:
            self.popen.terminate()

    def end(self) -> None:
        """Kill what is left of it, its own children too, and close its output."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.popen.pid, signal.SIGKILL)
        self.popen.wait()
        self.output.close()
