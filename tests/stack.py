"""The whole service as real processes, the Procfile's, on a database, broker and sink of the test's own."""

import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, Self

import httpx
from sqlalchemy import text

from service import database, settings
from tests.forking import Forked, forge
from tests.rabbitmq import AnyBroker
from tests.servers import PATIENCE, Sink, end, free_port, spawn, wait

ROOT = Path(__file__).parents[1]
CLI = [sys.executable, "-c", "from service.cli.main import main; main()"]
KEYS = {"UTSKICK_SECRET_KEY": "a secret of the tests alone", "UTSKICK_ADDRESS_KEY": "another of the tests"}


def procfile() -> dict[str, list[str]]:
    """Return the Procfile's processes, with this Python for `python`."""
    lines = (settings.ROOT / "Procfile").read_text().splitlines()
    entries = (line.split(":", 1) for line in lines if line.strip() and not line.startswith("#"))
    return {name.strip(): [python(part) for part in shlex.split(command)] for name, command in entries}


def python(part: str) -> str:
    """Return this Python for `python`."""
    return sys.executable if part == "python" else part


def environment(var_dir: Path, **given: Any) -> dict[str, str]:
    """Return a clean environment: none of the caller's UTSKICK_*, and short times."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("UTSKICK_")}
    paths = [str(ROOT), *filter(None, [clean.get("PYTHONPATH")])]
    clean |= {"PYTHONPATH": os.pathsep.join(paths), "PYTHONUNBUFFERED": "1", **KEYS}
    usual = {"lease": 2, "sweep_every": 0.5, "smtp_timeout": 5, "retry_after": "1,1,1,1,1,1,1,1,1"}
    usual |= {"visitor_limit": 100_000, "newsroom_limit": 100_000, "var_dir": var_dir}
    return clean | {f"UTSKICK_{name}".upper(): str(value) for name, value in (usual | given).items()}


class Stack:
    """One installation: its settings, its processes, and ways to look at them.

    `forked`: its processes are; not where Python itself must start another way.
    """

    def __init__(self, folder: Path, database_url: str, broker: AnyBroker, sink: Sink, **given: Any) -> None:
        self.folder = folder
        self.database_url = database_url
        self.broker = broker
        self.sink = sink
        self.var_dir = folder / "var"
        self.var_dir.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        urls = {"database_url": database_url, "smtp_url": sink.url, **broker.settings}
        self.environment = environment(self.var_dir, port=self.port, **(urls | given))
        self.processes: dict[str, subprocess.Popen[bytes] | Forked] = {}
        self.forked = True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def url(self, path: str = "/") -> str:
        """Return the address of a page."""
        return f"http://127.0.0.1:{self.port}{path}"

    def cli(self, *args: str | Path, check: bool = True, given: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run the real command, in this installation's directory."""
        with TemporaryFile() as asked, TemporaryFile() as out, TemporaryFile() as err:
            asked.write((given or "").encode())
            asked.seek(0)
            process = forge().start([*CLI[1:], *map(str, args)], self.folder, self.environment, asked, out, err)
            try:
                code = process.wait(120)
            finally:
                process.kill()
            out.seek(0), err.seek(0)
            done = subprocess.CompletedProcess(args, code, out.read().decode(), err.read().decode())
        said = f"{args}: exit {done.returncode}\n{done.stdout}{done.stderr}"
        assert not check or done.returncode == 0, f"{said}\n{self.tails()}"
        return done

    def popen(self, *args: str | Path) -> subprocess.Popen[bytes]:
        """Start the real command and leave it running; `stop` ends it."""
        name = f"cli-{len(self.processes)}"
        self.processes[name] = process = self._spawn(name, [*CLI, *map(str, args)])
        return process

    def start(self, *names: str) -> None:
        """Start processes of the Procfile by name (`worker`, `worker.2`), all where none is named."""
        for name in names or procfile():
            command = procfile()[name.split(".")[0]]
            self.processes[name] = self._fork(name, command[1:]) if self.forked else self._spawn(name, command)
        if "web" in self.processes:
            self.wait(self.is_ready, what="web is ready")

    def _spawn(self, name: str, command: list[str]) -> subprocess.Popen[bytes]:
        return spawn(command, self.log_file(name), cwd=self.folder, env=self.environment)

    def _fork(self, name: str, argv: list[str]) -> Forked:
        with self.log_file(name).open("ab") as out, Path(os.devnull).open("rb") as nothing:
            return forge().start(argv, self.folder, self.environment, nothing, out, out)

    def is_ready(self) -> bool:
        """Tell whether web answers; fail at once where a process has ended."""
        assert not self.ended(), self.tails()
        try:
            return httpx.get(self.url("/readyz"), timeout=2, trust_env=False).is_success
        except httpx.TransportError:
            return False

    def kill9(self, name: str) -> None:
        """Kill a process as the kernel would."""
        self.processes[name].kill()
        self.processes.pop(name).wait()

    def pause(self, name: str) -> None:
        """Stop a process where it stands."""
        self.processes[name].send_signal(signal.SIGSTOP)

    def resume(self, name: str) -> None:
        """Let it go on."""
        self.processes[name].send_signal(signal.SIGCONT)

    def end(self, name: str) -> int:
        """End a process softly and return its exit code."""
        process = self.processes.pop(name)
        return end(process)

    def stop(self) -> None:
        """End all processes."""
        for process in self.processes.values():
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        for process in self.processes.values():
            end(process)
        self.processes.clear()

    def rows(self, sql: str, **values: Any) -> list[dict[str, Any]]:
        """Read rows with a connection of our own, taking no lock."""
        with database.engine(self.database_url).connect() as bound:
            connection = bound.execution_options(utskick_reading=True)
            return [dict(row) for row in connection.execute(text(sql), values).mappings()]

    def value(self, sql: str, **values: Any) -> Any:
        """Read the only column of the only row."""
        (row,) = self.rows(sql, **values)
        (value,) = row.values()
        return value

    def write(self, sql: str, **values: Any) -> None:
        """Change rows behind the service's back."""
        with database.engine(self.database_url).begin() as connection:
            connection.execute(text(sql), values)

    def wait(self, condition: Callable[[], Any], timeout: float = PATIENCE, what: str = "") -> Any:
        """Wait for a condition; when it does not come, show the ends of the processes' logs."""
        try:
            return wait(condition, timeout, what)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.tails()}") from None

    def ended(self) -> dict[str, int]:
        """Return the exit codes of processes that have ended without being asked to."""
        codes = {name: process.poll() for name, process in self.processes.items()}
        return {name: code for name, code in codes.items() if code is not None}

    def log_file(self, name: str) -> Path:
        """Return where a process's output goes."""
        return self.folder / f"{name}.log"

    def tails(self, lines: int = 20) -> str:
        """Return the ends of the processes' logs."""
        logs = {log.name: log.read_text().splitlines()[-lines:] for log in sorted(self.folder.glob("*.log"))}
        ended = [f"{name} ended with exit code {code}" for name, code in self.ended().items()]
        return "\n".join([*ended, *("\n".join([f"--- {name}", *last]) for name, last in logs.items())])

    @contextmanager
    def client(self, **options: Any) -> Iterator[httpx.Client]:
        """Open an HTTP client of the running web."""
        given: dict[str, Any] = {"base_url": self.url(""), "trust_env": False, "timeout": 10} | options
        with httpx.Client(**given) as client:
            yield client
