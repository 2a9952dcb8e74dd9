"""What all cases of a bench share: servers, databases full of followers, senders, and mailings on fresh processes."""

import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from time import perf_counter

from service.cli.bench import brokers, installation, mailing
from service.cli.bench.installation import Installation
from service.cli.bench.lap import Lap
from service.cli.bench.mailing import Meanwhile, Measured, Nothing
from service.cli.bench.plan import Database, Plan
from service.cli.bench.postgres import Postgres
from service.cli.bench.process import Broken, Missing, ask, clean_environment, wait
from service.cli.bench.relays import BuiltIn, Relay, relay
from service.cli.bench.sqlite import Sqlite

SENDERS = ("naive", "django-style", "compiled")
MODULE = [sys.executable, "-m"]
FLUSHES = 50

Server = Postgres | Sqlite
Laps = dict[str, Lap]


class Workshop:
    """Use it in a `with` block, which ends all that it started and removes all that it made."""

    def __init__(self, plan: Plan, say: Callable[[str], None]) -> None:
        self.plan, self.say = plan, say
        self.keys = installation.new_keys()
        self.left_out: list[str] = []
        self.servers: dict[Database, Server] = {}
        self._filled: set[tuple[Database, int]] = set()
        self._made = 0
        self._stack = ExitStack()

    def __enter__(self) -> "Workshop":
        try:
            self._open()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _open(self) -> None:
        self.folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="utskick-bench-")))
        self.flush_ms = _flush(self.folder)
        for database in self.plan.databases:
            try:
                self.servers[database] = self._server(database)
            except Missing as missing:
                self.left_out.append(f"{database.value} is left out: {missing}")
                self.say(self.left_out[-1])
        if not self.servers:
            raise Broken("there is no database to measure with")
        self.relay = relay(self.new_folder(), built_in=self.plan.built_in)
        self._stack.callback(self.relay.close)

    def _server(self, database: Database) -> Server:
        made = Postgres() if database is Database.POSTGRESQL else Sqlite(self.folder / "sqlite")
        self._stack.callback(made.close)
        return made

    @property
    def best(self) -> Database:
        """The database of the cases that need only one."""
        return next(iter(self.servers))

    def new_folder(self) -> Path:
        """Return a fresh folder for a process."""
        self._made += 1
        made = self.folder / str(self._made)
        made.mkdir(mode=0o700)
        return made

    @contextmanager
    def built_in(self, delay_ms: float = 0) -> Iterator[BuiltIn]:
        """Run another sink, our own."""
        made = BuiltIn(self.new_folder(), delay_ms / 1000)
        try:
            yield made
        finally:
            made.close()

    def baselines(self) -> Laps:
        """Let every sender without books have its lap."""
        return {name: self.sender(name) for name in SENDERS}

    def sender(self, name: str) -> Lap:
        """Let one sender have its lap."""
        return self._lap(self.relay, "senders", [name, str(self.relay.port), str(self.plan.baseline)])

    def courier(self, at: Relay, mails: int, connections: int) -> Lap:
        """Let the courier have its lap, without the ledger."""
        return self._lap(at, "courier_alone", [str(at.port), str(mails), str(connections)])

    def _lap(self, at: Relay, module: str, words: list[str]) -> Lap:
        before = at.count()
        said = ask([*MODULE, f"service.cli.bench.{module}", *words], self.folder, clean_environment(**self.keys))
        lap = Lap(**json.loads(said))
        wait(lambda: at.count() >= before + lap.mails, mailing.LATE, f"the mails of {words[0]} are at the sink")
        return lap

    def mailing(
        self,
        database: Database,
        recipients: int,
        at: Relay | None = None,
        connections: int | None = None,
        meanwhile: Meanwhile | None = None,
    ) -> Measured:
        """Mail the release to so many followers, on a database, a broker and processes of its own."""
        server, relayed = self.servers[database], at or self.relay
        folder = self.new_folder()
        broker_of = brokers.running(folder, embedded=server.embedded_broker)
        with self._followed(database, recipients) as url, broker_of as broker:
            given = {"smtp_url": relayed.url, "broker_url": broker}
            given["smtp_connections"] = str(connections or self.plan.connections)
            site = Installation(folder, url, self.keys | given)
            try:
                site.start()
                return mailing.measure(site, relayed, recipients, server.cpu, meanwhile or Nothing())
            finally:
                site.stop()

    @contextmanager
    def _followed(self, database: Database, followers: int) -> Iterator[str]:
        """Give the URL of a fresh database with so many followers."""
        server, template = self.servers[database], f"followers_{followers}"
        if (database, followers) not in self._filled:
            self._fill(server, template, followers)
            self._filled.add((database, followers))
        self._made += 1
        name = f"run_{self._made}"
        try:
            yield server.copy(template, name)
        finally:
            server.drop(name)

    def _fill(self, server: Server, name: str, followers: int) -> None:
        environment = clean_environment(**self.keys, database_url=server.make(name), var_dir=self.folder)
        ask([*MODULE, "service.cli.bench.press", str(followers)], self.folder, environment)
        server.settle(name)


def _flush(folder: Path) -> float:
    """Return how many ms the disk takes for a small write to be safe."""
    taken = []
    with (folder / "flush").open("wb", buffering=0) as file:
        for _ in range(FLUSHES):
            began = perf_counter()
            file.write(bytes(8192))
            os.fdatasync(file.fileno())
            taken.append(perf_counter() - began)
    return 1000 * median(taken)
