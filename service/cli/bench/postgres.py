"""A PostgreSQL cluster of the bench's own, with fsync, removed when it is done with."""

import os
import re
import secrets
import shutil
import signal
import tempfile
from pathlib import Path

from sqlalchemy import URL, NullPool, create_engine, text
from sqlalchemy.exc import OperationalError

from service.cli.bench import usage
from service.cli.bench.process import Missing, Process, account, ask, clean_environment
from service.cli.bench.relays import HOST, free_port

USER = "utskick"
PLACES = "/usr/lib/postgresql"


class Postgres:
    """A server on loopback with a password that nobody else knows; its settings are PostgreSQL's own."""

    embedded_broker = False

    def __init__(self) -> None:
        """Make and start it; raise Missing where PostgreSQL is not on this machine."""
        self.initdb = _initdb()
        identity = account("postgres")  # initdb refuses root
        self.port, self.password = free_port(), secrets.token_urlsafe(16)
        self.folder = Path(tempfile.mkdtemp(prefix="utskick-bench-pg-"))
        try:
            if identity:
                os.chown(self.folder, identity["user"], identity["group"])
            self.label = f"PostgreSQL {self._make(identity)} with fsync"
            self.process = self._start(identity)
        except BaseException:
            shutil.rmtree(self.folder, ignore_errors=True)
            raise

    def _make(self, identity: dict[str, int]) -> str:
        secret = self.folder / "password"
        secret.write_text(self.password, encoding="utf-8")
        if identity:
            os.chown(secret, identity["user"], identity["group"])
        flags = [f"--username={USER}", "--auth=scram-sha-256", f"--pwfile={secret}", "--encoding=UTF8"]
        command = [str(self.initdb), f"--pgdata={self.folder / 'data'}", "--locale=C.UTF-8", "--no-sync", *flags]
        ask(command, self.folder, clean_environment(), **identity)
        return (self.folder / "data" / "PG_VERSION").read_text(encoding="utf-8").strip()

    def _start(self, identity: dict[str, int]) -> Process:
        settings = {"listen_addresses": HOST, "port": self.port, "unix_socket_directories": ""}
        flags = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        command = [str(self.initdb.with_name("postgres")), "-D", str(self.folder / "data"), *flags]
        process = Process("postgresql", command, self.folder, clean_environment(), **identity)
        process.until(self._answers)
        return process

    def _answers(self) -> bool:
        try:
            self._do("SELECT 1")
        except OperationalError:
            return False
        return True

    def _do(self, statement: str) -> None:
        bound = create_engine(self._url("postgres"), isolation_level="AUTOCOMMIT", poolclass=NullPool)
        with bound.connect() as connection:
            connection.execute(text(statement))

    def _url(self, name: str) -> str:
        query = {"sslmode": "disable"}
        made = URL.create("postgresql", USER, self.password, HOST, self.port, name, query)
        return made.render_as_string(hide_password=False)

    def make(self, name: str) -> str:
        """Make an empty database and return its URL."""
        self._do(f'CREATE DATABASE "{name}"')
        return self._url(name)

    def settle(self, name: str) -> None:
        """Leave a database that was just filled as one that has been there for long."""
        bound = create_engine(self._url(name), isolation_level="AUTOCOMMIT", poolclass=NullPool)
        with bound.connect() as connection:
            connection.execute(text("VACUUM ANALYZE"))

    def copy(self, template: str, name: str) -> str:
        """Make a database like another and return its URL; what that wrote is on disk before anything is measured."""
        self._do(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        self._do("CHECKPOINT")
        return self._url(name)

    def drop(self, name: str) -> None:
        """Drop a database."""
        self._do(f'DROP DATABASE "{name}" WITH (FORCE)')

    def cpu(self) -> float:
        """Return the seconds of CPU that the server and all its processes have used."""
        return usage.cpu(self.process.pid)

    def close(self) -> None:
        """End the server and remove all that it had."""
        self.process.end(signal.SIGINT)
        shutil.rmtree(self.folder, ignore_errors=True)


def _initdb() -> Path:
    newest_first = sorted(Path(PLACES).glob("*/bin"), key=_version, reverse=True)
    found = shutil.which("initdb", path=os.pathsep.join([*map(str, newest_first), os.defpath, "/usr/local/bin"]))
    if found is None:
        raise Missing("PostgreSQL is not on this machine (Debian: postgresql)")
    return Path(found).resolve()


def _version(path: Path) -> list[int]:
    return [int(part) for part in re.findall(r"\d+", path.parent.name)]
