"""A process of the bench: it ends with us, and what it says goes into a file."""

import os
import pwd
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from threading import Event
from time import monotonic
from typing import Any

from service.cli.child import CALM, die_with
from service.settings import PREFIX

START = 30.0
"""Seconds that a server has to answer for the first time."""
SOFT = 15.0
"""Seconds that a process has to end by itself."""
LOOK = 0.05
TAIL = 12
"""Lines of a process that are shown where it has ended too early."""


class Missing(Exception):
    """A server that is not on this machine; the text is one line."""


class Broken(Exception):
    """The bench cannot go on, or what it measured is not what it should be; the text says why."""


def clean_environment(**given: object) -> dict[str, str]:
    """Return the caller's environment with no setting of Utskick or PostgreSQL but those given."""
    theirs = {**os.environ}
    kept = {name: value for name, value in theirs.items() if not name.upper().startswith((PREFIX, "PG"))}
    return kept | CALM | {f"{PREFIX}{name}".upper(): str(value) for name, value in given.items()}


def account(name: str) -> dict[str, Any]:
    """Return how to start a process as somebody else where we are root; raise Missing where there is no such user."""
    if os.geteuid() != 0:
        return {}
    try:
        found = pwd.getpwnam(name)
    except KeyError:
        raise Missing(f"there is no user {name} on this machine") from None
    return {"user": found.pw_uid, "group": found.pw_gid, "extra_groups": []}


def wait(condition: Callable[[], bool], seconds: float, what: str) -> None:
    """Ask until a condition holds; raise Broken when the seconds are up."""
    until = monotonic() + seconds
    while not condition():
        if monotonic() > until:
            raise Broken(f"not within {seconds:g} s: {what}")
        Event().wait(LOOK)


class Process:
    """One run of a command, in a session of its own."""

    def __init__(
        self, name: str, command: Sequence[str], folder: Path, environment: Mapping[str, str], **options: Any
    ) -> None:
        self.name = name
        self.log = folder / f"{name}.log"
        with self.log.open("wb") as out:
            self.popen = subprocess.Popen(  # noqa: S603 - our own commands
                command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=partial(die_with, os.getpid()),  # noqa: PLW1509 - this process has no threads
                cwd=options.pop("cwd", folder),
                env=environment,
                **options,
            )

    @property
    def pid(self) -> int:
        """Its number."""
        return self.popen.pid

    def check(self) -> None:
        """Raise Broken where it has ended without being asked to."""
        if self.popen.poll() is not None:
            raise Broken(f"{self.name} ended with exit code {self.popen.returncode}\n{self.tail()}")

    def until(self, answers: Callable[[], bool]) -> None:
        """Wait until it answers; raise Broken where it does not, or ends."""

        def ready() -> bool:
            self.check()
            return answers()

        try:
            wait(ready, START, f"{self.name} answers")
        except BaseException:
            self.end()
            raise

    def tail(self) -> str:
        """Return the last lines that it has said."""
        return "\n".join(self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-TAIL:])

    def ask_to_stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Ask it to end softly."""
        if self.popen.poll() is None:
            self.popen.send_signal(number)

    def end(self, number: signal.Signals = signal.SIGTERM) -> None:
        """End it softly, and then not; its own children with it."""
        self.ask_to_stop(number)
        with suppress(subprocess.TimeoutExpired):
            self.popen.wait(SOFT)
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.popen.pid, signal.SIGKILL)
        self.popen.wait()


def ask(command: Sequence[str], folder: Path, environment: Mapping[str, str], **options: Any) -> str:
    """Run a command to its end and return what it printed; raise Broken where it fails."""
    done = subprocess.run(  # noqa: S603 - our own commands
        command,
        check=False,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        start_new_session=True,
        preexec_fn=partial(die_with, os.getpid()),
        cwd=folder,
        env=environment,
        **options,
    )
    if done.returncode:
        said = "\n".join((done.stdout + done.stderr).strip().splitlines()[-TAIL:])
        raise Broken(f"{' '.join(command[1:])}: exit code {done.returncode}\n{said}")
    return str(done.stdout)
