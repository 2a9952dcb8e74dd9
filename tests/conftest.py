"""Fixtures: real servers for the session, a migrated database and a clean environment for each test."""

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import trustme
from sqlalchemy.orm import close_all_sessions

from service import broker, database, settings
from tests.rabbitmq import AnyBroker, open_broker
from tests.servers import Broker, Missing, Postgres, Sink
from tests.stack import Stack, environment

EVERYTHING = os.environ.get("UTSKICK_TEST_ALL") == "1"
BACKENDS = ("sqlite", "postgresql")
BROKERS = ("valkey", "redis-server")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """With UTSKICK_TEST_ALL=1 a skip is a failure."""
    report: pytest.TestReport = yield  # type: ignore[assignment] # what the wrapped hook returns
    if EVERYTHING and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"UTSKICK_TEST_ALL=1 and yet skipped: {call.excinfo and call.excinfo.value}"
    return report  # type: ignore[return-value] # a wrapper hands the result on


@pytest.fixture
def tell(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """Say a line that stands at the end of the run's output, whether the test passes or fails."""
    return lambda line: record_property("told", line)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what tests have told."""
    reports = [report for kind in ("passed", "failed") for report in terminalreporter.getreports(kind)]
    for report in reports:
        for line in (value for name, value in report.user_properties if name == "told" and report.when == "call"):
            terminalreporter.write_line(f"{report.nodeid} ({report.duration:.0f} s): {line}")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes minutes and mostly waits: others go on beside it."""
    items.sort(key=lambda item: item.get_closest_marker("storm") is None)


def forget() -> None:
    """Forget settings, apps and connections of the test before."""
    close_all_sessions()
    broker.app.cache_clear()
    settings.current.cache_clear()


@pytest.fixture(autouse=True)
def clean_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Give each test an environment without the caller's UTSKICK_*, in a directory of its own."""
    set_environment(tmp_path / "var", monkeypatch)
    monkeypatch.chdir(tmp_path)
    forget()
    yield
    forget()


def set_environment(var_dir: Path, patch: pytest.MonkeyPatch, **given: str) -> None:
    """Set UTSKICK_* to the tests' usual values in this process."""
    for name in [name for name in os.environ if name.startswith("UTSKICK_") and "_TEST_" not in name]:
        patch.delenv(name)
    for name, value in environment(var_dir, **given).items():
        if name.startswith("UTSKICK_"):
            patch.setenv(name, value)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL cluster for the session."""
    try:
        server = Postgres()
    except Missing as missing:
        pytest.skip(str(missing))
    yield server
    server.close()


@dataclass
class Backend:
    """Makes databases of one kind: copies of a migrated one."""

    folder: Path
    server: Postgres | None
    made: int = 0
    template: str = ""

    def fresh(self) -> str:
        """Return the URL of a new, migrated, empty database."""
        self.template = self.template or self._migrated()
        self.made += 1
        if self.server is not None:
            return self.server.url(self.server.create(self.template))
        path = self.folder / f"{self.made}.db"
        shutil.copy(self.template, path)
        return f"sqlite:///{path}"

    def empty(self) -> str:
        """Return the URL of a new database without any table."""
        self.made += 1
        if self.server is not None:
            return self.server.url(self.server.create())
        return f"sqlite:///{self.folder / f'empty-{self.made}.db'}"

    def discard(self, url: str) -> None:
        """Drop a database that is no longer needed."""
        database.engine(url).dispose()
        if self.server is not None:
            self.server.drop(url.rsplit("/", 1)[1])

    def _migrated(self) -> str:
        name = "migrated" if self.server is None else self.server.create(name="migrated")
        path = str(self.folder / f"{name}.db")
        url = f"sqlite:///{path}" if self.server is None else self.server.url(name)
        with pytest.MonkeyPatch.context() as patch:
            set_environment(self.folder, patch, database_url=url)
            settings.current.cache_clear()
            database.migrate()
        settings.current.cache_clear()
        database.engine(url).dispose()
        return path if self.server is None else name


@pytest.fixture(scope="session")
def sqlite_backend(tmp_path_factory: pytest.TempPathFactory) -> Backend:
    """Makes SQLite files."""
    return Backend(tmp_path_factory.mktemp("sqlite"), None)


@pytest.fixture(scope="session")
def postgresql_backend(tmp_path_factory: pytest.TempPathFactory, postgres: Postgres) -> Backend:
    """Makes PostgreSQL databases."""
    return Backend(tmp_path_factory.mktemp("postgresql"), postgres)


@pytest.fixture(scope="session", params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> Backend:
    """Each kind of database in turn."""
    made: Backend = request.getfixturevalue(f"{request.param}_backend")
    return made


@pytest.fixture
def database_url(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A fresh, migrated database, which this process's settings name too."""
    url = backend.fresh()
    monkeypatch.setenv("UTSKICK_DATABASE_URL", url)
    settings.current.cache_clear()
    yield url
    close_all_sessions()
    backend.discard(url)


@pytest.fixture
def empty_database_url(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A fresh database without any table, which this process's settings name too."""
    url = backend.empty()
    monkeypatch.setenv("UTSKICK_DATABASE_URL", url)
    settings.current.cache_clear()
    yield url
    close_all_sessions()
    backend.discard(url)


def opened(kind: str) -> AnyBroker:
    """A broker of a kind; the test is skipped where the machine has none."""
    try:
        return open_broker(kind)
    except Missing as missing:
        pytest.skip(str(missing))


@pytest.fixture
def valkey() -> Iterator[Broker]:
    """A Valkey of the test's own."""
    server = Broker()
    yield server
    server.close()


@pytest.fixture(params=BROKERS)
def each_broker(request: pytest.FixtureRequest) -> Iterator[Broker]:
    """A broker of the test's own, each kind in turn."""
    server = opened(request.param)
    assert isinstance(server, Broker)
    yield server
    server.close()


@pytest.fixture
def broker_url(valkey: Broker, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of a Valkey of the test's own, which this process's settings name too."""
    monkeypatch.setenv("UTSKICK_BROKER_URL", valkey.url)
    forget()
    return valkey.url


@pytest.fixture
def sink() -> Iterator[Sink]:
    """An SMTP server of the test's own."""
    server = Sink()
    yield server
    server.close()


@dataclass(frozen=True)
class Authority:
    """A certificate authority of our own (SSL_CERT_FILE), and a certificate with its key for 127.0.0.1."""

    ca: str
    cert: str


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """TLS: `Sink(cert=authority.cert, starttls=True)`; a client trusts it by `SSL_CERT_FILE=authority.ca`."""
    folder = tmp_path_factory.mktemp("tls")
    made = trustme.CA()
    made.cert_pem.write_to_path(str(folder / "ca.pem"))
    issued = made.issue_cert("127.0.0.1", "localhost")
    issued.private_key_and_cert_chain_pem.write_to_path(str(folder / "cert.pem"))
    return Authority(str(folder / "ca.pem"), str(folder / "cert.pem"))


@pytest.fixture
def stack(tmp_path: Path, database_url: str, valkey: Broker, sink: Sink) -> Iterator[Stack]:
    """An installation of the test's own with nothing started yet, on each kind of database."""
    with Stack(tmp_path / "stack", database_url, valkey, sink) as made:
        yield made


@pytest.fixture(scope="session")
def running(backend: Backend, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """One running installation for all journeys of the session, on each kind of database; do not break it."""
    url = backend.fresh()
    server, mails = Broker(), Sink()
    with Stack(tmp_path_factory.mktemp("running"), url, server, mails) as made:
        made.start()
        yield made
    mails.close()
    server.close()
    backend.discard(url)
