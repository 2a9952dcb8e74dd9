"""A real `utskick up` or `demo` with ports and a VAR_DIR of its own."""

import os
import secrets
import signal
import subprocess
from pathlib import Path
from typing import Any

import httpx

from tests.servers import free_port, spawn, wait
from tests.stack import CLI, environment

MARK = "MARK_OF_A_TEST"
READY = "Press Ctrl-C to stop."
START = 60.0


class Marked:
    """What was started with a mark in its environment, and all that it started."""

    mark: str

    def processes(self) -> dict[int, str]:
        """Return pid and command line of everything that runs with our mark."""
        found = {}
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                if f"{MARK}={self.mark}".encode() in (entry / "environ").read_bytes().split(b"\0"):
                    found[int(entry.name)] = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except OSError:
                continue
        return {pid: command for pid, command in found.items() if command}

    def pid_of(self, words: str) -> int:
        """Return the pid of the one process whose command line holds some words."""
        (pid,) = (pid for pid, command in self.processes().items() if words in command)
        return pid


class Running(Marked):
    """One `up`, from the outside: its output, its processes, its pages."""

    def __init__(self, folder: Path, command: str = "up", **given: Any) -> None:
        ports = {name: free_port() for name in ("port", "mailbox_port", "mailbox_smtp_port")}
        self.given = ports | {"var_dir": folder / "var"} | given
        self.folder = folder
        self.command = command
        self.var_dir = Path(self.given["var_dir"])
        self.mark = secrets.token_hex(8)
        self.environment = environment(self.var_dir, **{k: v for k, v in self.given.items() if k != "var_dir"})
        self.environment[MARK] = self.mark
        for key in ("UTSKICK_SECRET_KEY", "UTSKICK_ADDRESS_KEY"):
            self.environment.pop(key)
        self.log = folder / f"{command}-{self.mark}.log"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> "Running":
        """Start it and wait until it says where to look."""
        self.launch()
        self.wait_for(READY, START)
        return self

    def launch(self) -> None:
        """Start it."""
        self.log.unlink(missing_ok=True)
        self.process = spawn([*CLI, self.command], self.log, cwd=self.folder, env=self.environment)

    @property
    def said(self) -> str:
        """What it has said."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def wait_for(self, words: str, timeout: float = 30) -> None:
        """Wait until it has said some words; fail at once where it has ended."""

        def heard() -> bool:
            ended = self.process is not None and self.process.poll() is not None
            assert not ended or words in self.said, f"it ended before {words!r}\n{self.said}"
            return words in self.said

        try:
            wait(heard, timeout, words)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.said[-4000:]}") from None

    def attempt(self, command: str = "", **given: Any) -> subprocess.CompletedProcess[str]:
        """Run the same (or another) command once more, and return how it ended."""
        changed = {f"UTSKICK_{name}".upper(): str(value) for name, value in given.items()}
        return subprocess.run(
            [*CLI, *(command or self.command).split()],
            check=False,
            capture_output=True,
            text=True,
            timeout=60,
            cwd=self.folder,
            env=self.environment | changed,
        )

    def site(self, path: str = "/") -> str:
        """Return the address of a public page."""
        return f"http://127.0.0.1:{self.given['port']}{path}"

    def messages(self) -> list[dict[str, Any]]:
        """Return what the mailbox has."""
        url = f"http://127.0.0.1:{self.given['mailbox_port']}/messages.json"
        found: list[dict[str, Any]] = httpx.get(url, trust_env=False).json()
        return found

    def kill9(self) -> None:
        """Kill `up` itself as the kernel would."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def interrupt(self, within: float = 10) -> int:
        """Press Ctrl-C, and return the exit code once it has ended."""
        assert self.process is not None
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(within)

    def give_up(self) -> None:
        """End what is left, by pid."""
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(15)
        for pid in self.processes():
            os.kill(pid, signal.SIGKILL)
